"""Whether a lower precision is kept: from figures alone."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from lowtide.params import CompressParams, QuantizeParams

GAIN_MIN = 1.05  # times less; a smaller gain is within what two measurements of one file differ by


@dataclass(frozen=True)
class Compared:
    accuracy: float | None  # None: this runtime does not execute it
    accuracy_drop: float | None  # fp32 minus this one
    times_less: float | None  # than fp32: joules an inference, or time where they are unknown
    kept: bool
    why: str


def drop_allowed(
    fp32: float, teacher: float, quantize: QuantizeParams, compress: CompressParams
) -> float:
    """How much less accurate than fp32 a lower precision may be; all are shares of right answers.

    What quantization may lose, and no more than what earlier techniques have left of what all of
    them may lose against the teacher. Where fp32 is beyond that already it may lose nothing more;
    unless nothing is rolled back, so that the shared constraint does not bind.
    """
    left = compress.val_accuracy_drop_max - (teacher - fp32)
    if left < 0 and not compress.roll_back:
        return quantize.val_accuracy_drop_max
    return min(quantize.val_accuracy_drop_max, max(left, 0.0))


def decide(accuracy: float, accuracy_fp32: float, drop_max: float, times_less: float) -> Compared:
    """Kept if it is accurate enough and takes less than fp32.

    Accuracies are of images that nothing was fitted to; what they take is measured in turns.
    """
    drop = accuracy_fp32 - accuracy
    accurate, pays = accuracy >= accuracy_fp32 - drop_max, times_less >= GAIN_MIN
    if not accurate:
        why = f"loses {drop:.4f} of accuracy, {drop_max:.4g} is allowed"
    elif not pays:
        why = f"saves nothing: takes {times_less:.2f} times less than fp32 on this runtime"
    else:
        why = f"takes {times_less:.2f} times less than fp32, loses {drop:.4f} of accuracy"
    return Compared(accuracy, drop, times_less, accurate and pays, why)


def refused(why: str) -> Compared:
    """The runtime does not execute it."""
    return Compared(None, None, None, False, why)


def at_will(found: Compared) -> Compared:
    """Kept whatever it saves, if the runtime executes it."""
    if found.kept or found.times_less is None:
        return found
    return replace(found, kept=True, why=f"{found.why}; but compress.roll_back is false")


def cheapest(candidates: Mapping[str, Compared]) -> str:
    """That of those kept which takes least; `fp32` where there is none."""
    gains = {name: one.times_less or 0 for name, one in candidates.items() if one.kept}
    return max(gains, key=lambda name: gains[name], default="fp32")
