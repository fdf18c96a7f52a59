"""A window that only counts: measured as it is, estimates by this process's busy time."""

import json

import pytest

from lowtide.energy import counting
from lowtide.energy.counting import CountingWindow, counting_window
from lowtide.energy.sources import EnergySource, Reading
from lowtide.errors import MeterError
from tests.energy.conftest import Driver

# A probe of a file on a GPU whose driver counts 40 J during each call.
PROBE = """
import json, os
import numpy as np
from lowtide.energy.counting import counting_window
from lowtide.runtime import probe

counted_mj = 0

class OnGpu:
    def run(self, images):
        global counted_mj
        counted_mj += 40_000
        with open(os.environ["FAKE_NVML"], "a") as file:
            file.write(f"0.energy {counted_mj}\\n")
        return images

probe.WARM_UP_S = probe.TURN_S = 0.01
with counting_window() as window:
    result = probe.take_turns(
        {"m": OnGpu()}, np.zeros((4, 1, 2, 2), np.uint8), window, batch_size=4, num_repeats=3
    )["m"]
    parts, provenance = window.totals().components, window.totals().provenance
print(json.dumps([result.inference_energy_j, provenance,
                  {name: [part.source, part.provenance] for name, part in parts.items()}]))
"""


class Source:
    def __init__(self, provenance: str) -> None:
        self.cpu_j, self.provenance = 100.0, provenance
        self.gone = self.closed = False

    def read(self) -> list[Reading]:
        if self.gone:
            raise MeterError("unplugged")
        return [Reading("cpu", self.cpu_j, "s", self.provenance)]  # type: ignore[arg-type]

    def close(self) -> None:
        self.closed = True


def joules(window: CountingWindow) -> float | None:
    window.sample()
    energy_kwh = window.totals().energy_kwh
    return None if energy_kwh is None else energy_kwh * 3.6e6


def opened(monkeypatch: pytest.MonkeyPatch, *sources: EnergySource) -> None:
    monkeypatch.setattr(counting, "open_sources", lambda: list(sources))


def test_a_counter_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source("measured")
    opened(monkeypatch, source)
    with counting_window() as window:
        source.cpu_j += 30
        assert joules(window) == pytest.approx(30)
        assert window.totals().provenance == "measured"
    assert source.closed


def test_an_estimate_is_taken_by_busy_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process idles while the machine's estimate runs on: almost nothing of it is its own."""
    source = Source("estimated")
    opened(monkeypatch, source)
    with counting_window() as window:
        source.cpu_j += 30
        used_j = joules(window)
        assert used_j is not None
        assert used_j <= 30
        assert "process tree share" in window.totals().components["cpu"].source
        assert window.totals().provenance == "estimated"


def test_what_is_lost_stays_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source("measured")
    opened(monkeypatch, source)
    with counting_window() as window:
        source.gone = True
        assert joules(window) is None
        source.gone = False
        assert joules(window) is None
        assert window.totals().provenance == "unknown"


def test_without_a_source_energy_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    opened(monkeypatch)
    with counting_window() as window:
        assert joules(window) is None


def test_a_gpu_is_measured_beside_an_estimated_cpu(driver: Driver) -> None:
    driver.write("count 1", "0.energy 0")
    out, _ = driver.run(PROBE)
    energy_j, provenance, parts = json.loads(out)
    assert energy_j >= 10  # 40 J for 4 images, and the CPU's share
    assert parts["gpu0"] == ["nvml energy counter", "measured"]
    if "estimated" in {kind for _, kind in parts.values()}:
        assert provenance == "mixed"
        assert all("process tree share" in s for s, kind in parts.values() if kind == "estimated")
