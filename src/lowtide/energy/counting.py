"""Joules of this process since a window was opened, for a measurement that no ledger keeps."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from lowtide.energy.process_tree import ProcessTreeSource
from lowtide.energy.sources import KWH_IN_J, EnergySource, Reading, open_sources
from lowtide.energy.totals import ComponentTotal, Totals
from lowtide.errors import MeterError


class CountingWindow:
    """Adds up what sources tell; once one of them fails the energy is unknown."""

    def __init__(self, sources: Sequence[EnergySource]) -> None:
        self._sources = sources
        self._lost = False
        self._first: dict[str, Reading] = {}
        self._last: dict[str, Reading] = {}
        self.sample()
        self._first = dict(self._last)

    def sample(self) -> None:
        try:
            readings = [reading for source in self._sources for reading in source.read()]
        except MeterError:
            self._lost = True
            return
        self._last |= {reading.component: reading for reading in readings}

    def totals(self) -> Totals:
        parts = {name: self._total(name) for name in self._last}
        joules = [part.energy_kwh for part in parts.values() if part.energy_kwh is not None]
        known = bool(joules) and not self._lost
        return Totals(energy_kwh=sum(joules) if known else None, components=parts)

    def _total(self, component: str) -> ComponentTotal:
        last, first = self._last[component], self._first.get(component)
        used_j = last.energy_j - (0.0 if first is None else first.energy_j)
        return ComponentTotal(used_j / KWH_IN_J, last.source, last.provenance)


@contextmanager
def counting_window() -> Iterator[CountingWindow]:
    """Counters are taken as they are, of the whole machine; an estimate, which goes by the load of
    the machine, by this process's share of that: its busy time times the watts of a core.
    """
    with ExitStack() as stack:
        sources = open_sources()
        for source in sources:
            stack.callback(source.close)
        yield CountingWindow([_by_busy_time(source) for source in sources])


def _by_busy_time(source: EnergySource) -> EnergySource:
    try:
        estimated = all(reading.provenance == "estimated" for reading in source.read())
    except MeterError:  # said again, and dealt with, when the window reads it
        return source
    return ProcessTreeSource(source, time.process_time) if estimated else source
