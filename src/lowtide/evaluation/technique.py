"""Whether a compression technique enters, and whether what it made stays. Pure, from figures.

A technique enters while the projected joules per inference are above the target; what it made stays
if it takes measurably less and its accuracy keeps the constraint. Else the model before goes on.
"""

from dataclasses import asdict, dataclass
from typing import Any

from lowtide.compression.keep import GAIN_MIN
from lowtide.runtime.probe import Turns
from lowtide.runtime.ratio import times_less


@dataclass(frozen=True)
class Measured:
    """`accuracy` of the exported file on validation images, as a share. `turns`: what it took,
    interleaved with those that it is compared with."""

    accuracy: float
    turns: Turns

    def to_json(self) -> dict[str, Any]:
        """Medians; joules are None where they are unknown, and times less is by seconds then."""
        energy_j, seconds = self.turns.inference_energy_j, self.turns.inference_time_s
        return {"accuracy": self.accuracy, "cost": {"energy_j": energy_j, "seconds": seconds}}


@dataclass(frozen=True)
class Target:
    """energy_j_max: joules per inference, 0 < x. energy_ratio_min: times less than the teacher in
    float; None: no such target, every technique enters."""

    energy_j_max: float
    energy_ratio_min: float | None
    accuracy_drop_max: float


@dataclass(frozen=True)
class Decision:
    yes: bool
    reason: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def enters(projected: Turns, teacher: Turns, target: Target) -> Decision:
    """projected: the model before, as it would be served; teacher: its file in float."""
    ratio, joules = times_less(teacher, projected), projected.inference_energy_j
    said = f"without it {_joules(joules)} per inference, {ratio:.2f} times less than the teacher"
    if target.energy_ratio_min is None:
        return Decision(True, f"{said}; it enters, there is no ratio to stop at")
    if ratio < target.energy_ratio_min:
        return Decision(
            True, f"{said}; it enters, {target.energy_ratio_min:.3g} times is the target"
        )
    if joules is not None and joules > target.energy_j_max:
        return Decision(True, f"{said}; it enters, the budget is {_joules(target.energy_j_max)}")
    return Decision(False, f"{said}: that is within the target, nothing is done")


def promises(before: Turns, untrained: Turns) -> Decision:
    """Joules do not depend on weights: what saves nothing untrained is not worth training."""
    ratio = times_less(before, untrained)
    said = f"untrained it takes {ratio:.2f} times less than before"
    if ratio < GAIN_MIN:
        return Decision(False, f"{said}: it would save nothing, it is not trained")
    return Decision(True, said)


def stays(before: Measured, after: Measured, teacher: Measured, target: Target) -> Decision:
    """Accuracy is held against the teacher's, so that several techniques share one constraint.

    What is more accurate than before stays even if it takes as much, as self-distillation does.
    """
    drop, ratio = teacher.accuracy - after.accuracy, times_less(before.turns, after.turns)
    said = f"{ratio:.2f} times less than before, {_points(drop)} against the teacher"
    if ratio * GAIN_MIN > 1 and after.accuracy > before.accuracy:
        return Decision(True, f"{said}, more accurate than before")
    if ratio < GAIN_MIN:
        return Decision(False, f"{said}: it saves nothing here, what was before goes on")
    if drop > target.accuracy_drop_max:
        allowed = f"{100 * target.accuracy_drop_max:.3g} points are allowed"
        return Decision(False, f"{said}: {allowed}, what was before goes on")
    return Decision(True, said)


def _joules(energy_j: float | None) -> str:
    return "unknown joules" if energy_j is None else f"{energy_j:.3g} J"


def _points(drop: float) -> str:
    return f"{0.0 - 100 * drop:+.2f} points"
