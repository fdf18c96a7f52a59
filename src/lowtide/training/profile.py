"""What the device needs for this network, measured before the first step."""

from collections.abc import Callable
from dataclasses import dataclass, field

from lowtide.controller.image_size import image_side
from lowtide.controller.knobs import Levers, Precision
from lowtide.data.batches import Batch
from lowtide.objective.calibration import joules_per_mac
from lowtide.training.fit import Fit
from lowtide.training.recipe import step_seconds
from lowtide.training.resize import shrink

BOTH: tuple[Precision, Precision] = ("fp32", "bf16")


@dataclass
class DeviceProfile:
    """Joules; where power is unknown (`in_joules` false) seconds, which compare as well.

    per_image: by batch size. by_precision: per image of the base batch. per_mac: by kind of layer.
    small_image: cost of the smallest image over that of a whole one; None where there are none.
    """

    per_image: dict[str, float] = field(default_factory=dict)
    by_precision: dict[str, float] = field(default_factory=dict)
    per_mac: dict[str, float] = field(default_factory=dict)
    small_image: float | None = None
    in_joules: bool = True


def measure(
    work: Fit, levers: Levers, power_w: Callable[[], float | None], say: Callable[[str], None]
) -> DeviceProfile:
    """By all processes at once, each with its share of a batch; the leader's figures hold."""
    work.model.train()
    world, present = work.world, work.knobs
    sizes = levers.batch_sizes or (present.batch_size,)
    batch = next(iter(work.train.resized(max(sizes)).epoch(0)))
    known_w = world.share(power_w)
    watts = known_w or 1.0

    def per_image(num: int, precision: Precision) -> float:
        images, labels = batch.images[: num // world.size], batch.labels[: num // world.size]
        seconds = step_seconds(work.model, images, labels, precision)
        return watts * seconds / (len(labels) * world.size)

    known = [num for num in sizes if num <= len(batch.labels) * world.size]
    found = DeviceProfile(
        {str(num): per_image(num, present.precision) for num in known},
        {name: per_image(present.batch_size, name) for name in BOTH},
        {},
        _small_image(work, levers, batch, say),
        known_w is not None,
    )
    if levers.compress:
        share = batch.images[: present.batch_size // world.size]
        found.per_mac = joules_per_mac(
            work.model, share, watts / world.size, bf16=present.precision == "bf16"
        )
    return world.share(lambda: found)


def _small_image(
    work: Fit, levers: Levers, batch: Batch, say: Callable[[str], None]
) -> float | None:
    full = min(batch.images.shape[2:])
    side = image_side(full, levers.image_scale)
    if side == full:
        return None
    part = slice(work.knobs.batch_size // work.world.size)
    images, labels = batch.images[part], batch.labels[part]

    def seconds(side: int) -> float:
        return step_seconds(work.model, shrink(images, side), labels, work.knobs.precision)

    try:
        return seconds(side) / seconds(full)
    except RuntimeError as error:  # a network that takes one size alone
        say(f"images keep their size: the network does not take {side} ({error})")
        return None
