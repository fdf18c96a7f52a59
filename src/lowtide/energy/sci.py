"""Software Carbon Intensity, ISO/IEC 21031: what a run emitted, its hardware's share included."""

import math
from dataclasses import dataclass

from lowtide.errors import UsageError

YEAR_S = 365 * 24 * 3600  # as the specification's own example counts


@dataclass(frozen=True)
class Hardware:
    """What making and disposing of a machine emits, and how much of it a run had.

    UsageError where a figure cannot be: they come from whoever runs the machine.
    """

    embodied_kg: float  # TE, CO2e over the whole life of the machine
    lifespan_years: float  # EL
    share: float = 1.0  # RR/ToR: of the machine's cores, or GPUs, that the run had reserved

    def __post_init__(self) -> None:
        _require_positive("--embodied-kg", self.embodied_kg)
        _require_positive("--lifespan-years", self.lifespan_years)
        _require_positive("--share", self.share)
        if self.share > 1:
            raise UsageError(f"--share {self.share:g} is more than the whole machine: at most 1")

    def embodied_g(self, reserved_s: float) -> float:
        """M = TE * (TiR/EL) * (RR/ToR), grams, of a run that had it for so many seconds."""
        lifespan_s = self.lifespan_years * YEAR_S
        return self.embodied_kg * 1000 * (reserved_s / lifespan_s) * self.share


@dataclass(frozen=True)
class Sci:
    """Grams of CO2e of a run that did `num_units` of what it is there for (R)."""

    operational_g: float | None  # E * I, weighed interval by interval, PUE included
    embodied_g: float  # M
    num_units: float

    def __post_init__(self) -> None:
        _require_positive("--per", self.num_units)

    @property
    def total_g(self) -> float | None:
        return None if self.operational_g is None else self.operational_g + self.embodied_g

    @property
    def g_per_unit(self) -> float | None:
        """SCI = (E * I + M) per R; None where what the energy emitted is unknown."""
        return None if self.total_g is None else self.total_g / self.num_units

    def to_json(self) -> dict[str, float | None]:
        return {
            "operational_g": self.operational_g,
            "embodied_g": self.embodied_g,
            "total_g": self.total_g,
            "num_units": self.num_units,
            "sci_g_per_unit": self.g_per_unit,
        }


def _require_positive(option: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise UsageError(f"{option} {value:g} has to be above 0")
