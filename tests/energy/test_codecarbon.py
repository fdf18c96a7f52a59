"""CodeCarbon keeps its failures to itself; what it did not measure is not read as 0 J."""

from types import SimpleNamespace

import pytest

from lowtide.energy.codecarbon import KWH_IN_J, CodeCarbonSource
from lowtide.errors import MeterError


class Tracker:
    """Each flush hands the output one more kWh of CPU, or fails in silence, as the real one."""

    def __init__(self, latest: SimpleNamespace) -> None:
        self._hardware = ["CPU: AMD, TDP 65 W"]
        self._latest, self.broken, self.cpu_kwh = latest, False, 0.0

    def flush(self) -> None:
        if not self.broken:
            self.cpu_kwh += 1
            self._latest.total = SimpleNamespace(cpu_energy=self.cpu_kwh, ram_energy=0.5)


@pytest.fixture
def tracker() -> Tracker:
    return Tracker(SimpleNamespace(total=None))


def test_readings_are_cumulative_and_say_how_they_came_about(tracker: Tracker) -> None:
    source = CodeCarbonSource(tracker, tracker._latest, "3")
    source.read()
    cpu, ram = source.read()
    assert (cpu.energy_j, ram.energy_j) == (2 * KWH_IN_J, 0.5 * KWH_IN_J)
    assert (cpu.source, cpu.provenance) == ("codecarbon 3, TDP x load", "estimated")


@pytest.mark.parametrize("reads_before", [0, 2])
def test_a_failed_flush_is_no_reading(tracker: Tracker, reads_before: int) -> None:
    source = CodeCarbonSource(tracker, tracker._latest, "3")
    for _ in range(reads_before):
        source.read()
    tracker.broken = True
    with pytest.raises(MeterError, match="measured nothing"):
        source.read()


def test_a_tracker_whose_start_failed_is_no_reading() -> None:
    bare = SimpleNamespace(flush=lambda: None)
    with pytest.raises(MeterError, match="measured nothing"):
        CodeCarbonSource(bare, SimpleNamespace(total=None), "3").read()


def test_what_is_counted_elsewhere_is_left_out(tracker: Tracker) -> None:
    source = CodeCarbonSource(tracker, tracker._latest, "3", without=frozenset({"cpu"}))
    assert [reading.component for reading in source.read()] == ["ram"]
