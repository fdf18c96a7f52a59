"""Whether the chain has reached its target ratio, once the file that was chosen is measured.

A target and no budget: it steers what enters, and the gate refuses nothing for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Figures = Mapping[str, Any]


@dataclass(frozen=True)
class Reached:
    """times_less: than the teacher in float takes; of joules, or of time where those are unknown.
    said: one line for people."""

    energy_ratio_min: float
    times_less: float
    by: Literal["joules", "time"]
    met: bool
    said: str


def reached(
    model: str, times_less: Figures, layers: Sequence[Figures], energy_ratio_min: float
) -> Reached:
    """times_less: of the file, by figure (`evaluation.chain`); layers: its own (`runtime.layers`),
    none where they are not measured."""
    joules = times_less["inference_energy_j"]
    ratio = times_less["inference_time_s"] if joules is None else joules
    met = ratio >= energy_ratio_min
    taken = "less time (joules are unknown)" if joules is None else "fewer joules"
    said = (
        f"{model} takes {ratio:.2f} times {taken} per inference than the teacher: the target of "
        f"{energy_ratio_min:g} (compress.energy_ratio_min) is {'met' if met else 'missed'}"
    )
    if not met:
        said += _most(layers)
    return Reached(energy_ratio_min, ratio, "time" if joules is None else "joules", met, said)


def _most(layers: Sequence[Figures]) -> str:
    """Where there is most to save."""
    if not layers:
        return ""
    most = max(layers, key=lambda layer: layer["seconds"])
    name = most["module"] or most["name"]
    return f"; {most['share']:.0%} of its time is in {name} ({most['op_type']})"
