"""CodeCarbon keeps its failures to itself; what it did not measure is not read as 0 J."""

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from lowtide.energy.codecarbon import KWH_IN_J, LOOK_UP, CodeCarbonSource, tdp_without_pandas
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


# The sources of this machine, opened, read and closed, in a process that has loaded nothing yet.
READ = """
import sys
from lowtide.energy.sources import open_sources

sources = open_sources()
readings = [reading for source in sources for reading in source.read()]
for source in sources:
    source.close()
print(*sorted(reading.component for reading in readings))
print(*{"pandas", "pyarrow"} & sys.modules.keys())
"""


def test_the_sources_are_opened_and_read_without_pandas() -> None:
    pytest.importorskip("codecarbon")
    done = subprocess.run(
        [sys.executable, "-c", READ], capture_output=True, text=True, check=True, timeout=60
    )
    components, heavy = done.stdout.split("\n")[:2]
    assert "cpu" in components
    assert heavy == ""


@pytest.fixture
def tdp_class() -> Any:
    return pytest.importorskip("codecarbon.core.cpu").TDP


def look_up(tdp_class: Any, model: str) -> float | None:
    """With an object that has not asked for this machine's CPU, as its `__init__` does."""
    watts: float | None = getattr(tdp_class.__new__(tdp_class), LOOK_UP)(model)
    return watts


@pytest.mark.parametrize(
    "model",
    [
        "AMD Ryzen 7 5800X",
        "AMD EPYC 7763 64-Core Processor",
        "Intel(R) Core(TM) i7-8700K CPU @ 3.70GHz",
        "Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz",
        "Intel(R) Xeon(R) CPU @ 2.20GHz",  # in no table
        "no such cpu",
    ],
)
def test_a_tdp_is_codecarbons_own(
    tdp_class: Any, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    own = look_up(tdp_class, model)
    monkeypatch.delattr("codecarbon.input.DataSource.get_cpu_power_data")  # bars its own way
    with tdp_without_pandas():
        assert look_up(tdp_class, model) == own
    with pytest.raises(AttributeError):
        look_up(tdp_class, model)


@pytest.mark.parametrize("gone", ["cpu_power_path", "__init__"])
def test_where_the_table_is_read_otherwise_codecarbon_does_it(
    tdp_class: Any, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    monkeypatch.setattr(f"codecarbon.input.DataSource.{gone}", None)
    monkeypatch.setattr(tdp_class, LOOK_UP, lambda *_: 65.0)
    with tdp_without_pandas():
        assert look_up(tdp_class, "AMD Ryzen 7 5800X") == 65.0


def test_a_codecarbon_without_that_look_up_stays_as_it_is(
    tdp_class: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(tdp_class, LOOK_UP)
    with tdp_without_pandas():
        assert not hasattr(tdp_class, LOOK_UP)
    monkeypatch.delattr("codecarbon.core.cpu.TDP")
    with tdp_without_pandas():
        pass
    monkeypatch.delattr("codecarbon.core.cpu")
    monkeypatch.setitem(sys.modules, "codecarbon.core.cpu", None)
    with tdp_without_pandas():
        pass
