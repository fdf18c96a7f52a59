"""Sums over a run. None is unknown, and what is once unknown stays so."""

from dataclasses import dataclass, field
from typing import Protocol

from lowtide.energy.sources import KWH_IN_J, resolution_s


class Part(Protocol):
    """One component's joules and grams over some time."""

    @property
    def component(self) -> str: ...
    @property
    def energy_j(self) -> float | None: ...
    @property
    def emissions_g(self) -> float | None: ...
    @property
    def source(self) -> str: ...
    @property
    def provenance(self) -> str: ...
    @property
    def parked(self) -> bool: ...


@dataclass
class ComponentTotal:
    energy_kwh: float | None
    source: str
    provenance: str


@dataclass
class Totals:
    """`duration_s` is metered time of the wall, parked time included.

    What was used while the work was parked is part of all sums, and kept apart beside them.
    """

    energy_kwh: float | None = None
    emissions_g: float | None = None
    duration_s: float = 0.0
    components: dict[str, ComponentTotal] = field(default_factory=dict)
    parked_energy_kwh: float | None = 0.0
    parked_emissions_g: float | None = 0.0
    parked_s: float = 0.0

    @property
    def provenance(self) -> str:
        if self.energy_kwh is None:
            return "unknown"
        kinds = {part.provenance for part in self.components.values()}
        if len(kinds) > 1:
            return "mixed"
        return kinds.pop()

    @property
    def active_energy_kwh(self) -> float | None:
        """Of the work itself, without what was used while it was parked."""
        return _less(self.energy_kwh, self.parked_energy_kwh)

    @property
    def active_emissions_g(self) -> float | None:
        return _less(self.emissions_g, self.parked_emissions_g)

    @property
    def active_s(self) -> float:
        return self.duration_s - self.parked_s

    @property
    def mean_intensity_g_per_kwh(self) -> float | None:
        """Grams per kWh of IT energy, PUE included: weighted by when energy was used."""
        if not self.energy_kwh or self.emissions_g is None:
            return None
        return self.emissions_g / self.energy_kwh

    @property
    def unresolved(self) -> list[str]:
        """Components metered for less time than one update of their source takes."""
        return [
            name
            for name, part in self.components.items()
            if self.duration_s < (resolution_s(part.source) or 0.0)
        ]

    def add(self, part: Part) -> None:
        """A component's source and provenance are those it was first metered with."""
        energy_kwh = None if part.energy_j is None else part.energy_j / KWH_IN_J
        if not self.components:
            self.energy_kwh = self.emissions_g = 0.0
        self.energy_kwh = known_sum(self.energy_kwh, energy_kwh)
        self.emissions_g = known_sum(self.emissions_g, part.emissions_g)
        if part.parked:
            self.parked_energy_kwh = known_sum(self.parked_energy_kwh, energy_kwh)
            self.parked_emissions_g = known_sum(self.parked_emissions_g, part.emissions_g)
        total = self.components.setdefault(
            part.component, ComponentTotal(0.0, part.source, part.provenance)
        )
        total.energy_kwh = known_sum(total.energy_kwh, energy_kwh)


class Window(Protocol):
    """What is metered while it is open."""

    def sample(self) -> None: ...

    def totals(self) -> Totals: ...


def known_sum(total: float | None, more: float | None) -> float | None:
    """None where either is unknown."""
    return None if total is None or more is None else total + more


def _less(total: float | None, parked: float | None) -> float | None:
    return None if total is None or parked is None else total - parked
