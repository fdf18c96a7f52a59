"""Small images first: early in training coarse features are learnt, and a small image costs less.

Progressive resizing (Howard et al., DAWNBench entry, 2018; Tan and Le, "EfficientNetV2", ICML
2021): the side grows in steps to its full length, and the last part is trained at full size, so
that batch norms fit what the model will see.
"""

GROWN = 0.7  # share of the epochs after which images have their full size
GRAIN = 4  # sides are multiples of this: what two poolings divide
LEAST = 16  # no side is made shorter than this
POINTS = 32  # at which a share over an interval is taken


def image_side(full: int, scale: float) -> int:
    """A side of `full` pixels at a scale of 0 to 1: a multiple of `GRAIN`, of `LEAST` or more."""
    return min(full, max(int(full * scale) // GRAIN * GRAIN, LEAST))


def image_scale(epoch: float, end: float, start: float) -> float:
    """Of the side, at an epoch in whole and part of a fit that begins with `start`."""
    grown = min(epoch / (GROWN * end), 1.0) if end > 0 else 1.0
    return start + (1.0 - start) * grown


def pixel_share(begin: float, until: float, end: float, start: float) -> float:
    """Mean share of the pixels between two epochs: about the share of a step's work."""
    epochs = [begin + (until - begin) * (point + 0.5) / POINTS for point in range(POINTS)]
    return sum(image_scale(epoch, end, start) ** 2 for epoch in epochs) / POINTS
