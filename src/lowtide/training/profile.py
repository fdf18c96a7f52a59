"""What the device needs for this network, measured before the first step."""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter

import torch
from torch import Tensor

from lowtide.controller.image_size import image_side
from lowtide.controller.knobs import Levers
from lowtide.data.batches import Batch
from lowtide.objective.calibration import seconds_per_mac
from lowtide.training.recipe import seconds_by_precision, step_seconds
from lowtide.training.resize import shrink
from lowtide.training.work import Fit

TIMED_STEPS = 2  # of each kind, after one that warms up


@dataclass
class DeviceProfile:
    """Joules; where power is unknown (`in_joules` false) seconds, which compare as well.

    per_image: by batch size, where it can be chosen. by_precision: per image of the base batch,
    where full precision was asked for. per_mac: by kind of layer.
    small_image: cost of the smallest image over that of a whole one; None where there are none.
    """

    per_image: dict[str, float] = field(default_factory=dict)
    by_precision: dict[str, float] = field(default_factory=dict)
    per_mac: dict[str, float] = field(default_factory=dict)
    small_image: float | None = None
    in_joules: bool = True

    def at(self, power_w: float) -> "DeviceProfile":
        """Joules from seconds."""

        def joules(seconds: dict[str, float]) -> dict[str, float]:
            return {name: power_w * each for name, each in seconds.items()}

        return DeviceProfile(
            joules(self.per_image), joules(self.by_precision), joules(self.per_mac),
            self.small_image,
        )  # fmt: skip


def measure(
    work: Fit, levers: Levers, energy_j: Callable[[], float | None], say: Callable[[str], None]
) -> DeviceProfile:
    """By all processes at once, each with its share of a batch; the leader's figures hold.

    energy_j: what the machine has used by now, None where unknown; asked where the measuring begins
    and ends, so that seconds count at the power that was drawn meanwhile.
    """
    largest = max(levers.batch_sizes, default=work.knobs.batch_size)
    batch = next(iter(work.train.resized(largest).epoch(0)))

    def power_w(begun_j: float | None, begun_s: float) -> float | None:
        ended_j = energy_j()
        if begun_j is None or ended_j is None:
            return None
        return (ended_j - begun_j) / (perf_counter() - begun_s) or None

    begun_j, begun_s = work.world.share(energy_j), perf_counter()
    seconds = _in_seconds(work, levers, batch, say)
    watts = work.world.share(lambda: power_w(begun_j, begun_s))
    return work.world.share(lambda: seconds if watts is None else seconds.at(watts))


def _in_seconds(
    work: Fit, levers: Levers, batch: Batch, say: Callable[[str], None]
) -> DeviceProfile:
    work.model.train()
    world, present = work.world, work.knobs

    def per_image(num: int) -> float:
        images, labels = _share(work, batch, num)
        seconds = step_seconds(work.model, images, labels, present.precision, TIMED_STEPS)
        return seconds / (len(labels) * world.size)

    def per_mac() -> dict[str, float]:
        images, _ = _share(work, batch, present.batch_size)
        bf16 = present.precision == "bf16"
        seconds = seconds_per_mac(work.model, images, bf16=bf16)
        return {kind: each / world.size for kind, each in seconds.items()}

    known = [num for num in levers.batch_sizes if num <= len(batch.labels) * world.size]
    return DeviceProfile(
        {str(num): per_image(num) for num in known},
        _by_precision(work, batch) if work.recipe.precision == "fp32" else {},
        per_mac() if levers.compress else {},
        _small_image(work, levers, batch, say),
        in_joules=False,
    )


def _share(work: Fit, batch: Batch, num: int) -> tuple[Tensor, Tensor]:
    """This process's images and labels of the first `num` of all."""
    own = num // work.world.size
    return batch.images[:own], batch.labels[:own]


def _by_precision(work: Fit, batch: Batch) -> dict[str, float]:
    images, labels = _share(work, batch, work.knobs.batch_size)
    seconds = seconds_by_precision(work.model, images, labels, work.world.mean)
    return {name: each / (len(labels) * work.world.size) for name, each in seconds.items()}


def _small_image(
    work: Fit, levers: Levers, batch: Batch, say: Callable[[str], None]
) -> float | None:
    full = min(batch.images.shape[2:])
    side = image_side(full, levers.image_scale)
    if side == full:
        return None
    images, labels = _share(work, batch, work.knobs.batch_size)
    if not _takes(work, shrink(images[:1], side), say):
        return None

    def seconds(side: int) -> float:
        return step_seconds(
            work.model, shrink(images, side), labels, work.knobs.precision, TIMED_STEPS
        )

    return seconds(side) / seconds(full)


def _takes(work: Fit, image: Tensor, say: Callable[[str], None]) -> bool:
    """Whether the network can be given it; in evaluation, which asks no other process."""
    try:
        with torch.no_grad():
            work.model.eval()(image)
    except RuntimeError as error:
        say(f"images keep their size: the network does not take {tuple(image.shape[2:])} ({error})")
        return False
    finally:
        work.model.train()
    return True
