"""A turn's joules are those of its own images, whatever ran just before."""

import time

import numpy as np
import pytest

from lowtide.energy.totals import ComponentTotal, Totals
from lowtide.runtime import probe as module
from lowtide.runtime.probe import summary, take_latencies, take_turns

FRESH_S = 0.05  # sources look anew only after so long


class Hardware:
    """The joules used so far, and a window that sees them no fresher than a real source."""

    def __init__(self, source: str = "s") -> None:
        self.used_j, self._seen_j, self._seen_s = 0.0, 0.0, time.perf_counter()
        self.lost, self._source = False, source

    def sample(self) -> None:
        now_s = time.perf_counter()
        if now_s - self._seen_s >= FRESH_S:
            self._seen_j, self._seen_s = self.used_j, now_s

    def totals(self) -> Totals:
        energy_kwh = None if self.lost else self._seen_j / 3.6e6
        part = ComponentTotal(energy_kwh, self._source, "estimated")
        return Totals(energy_kwh, 0.0, 0.0, {"cpu": part})


class Model:
    """Uses `joules` for each image of a batch, and as much again for each single image."""

    def __init__(self, hardware: Hardware, joules: float) -> None:
        self._hardware, self._joules = hardware, joules

    def run(self, images: np.ndarray) -> np.ndarray:
        time.sleep(0.001)
        self._hardware.used_j += self._joules * (100 if len(images) == 1 else len(images))
        return images


@pytest.fixture
def hardware(monkeypatch: pytest.MonkeyPatch) -> Hardware:
    monkeypatch.setattr(module, "WARM_UP_S", FRESH_S)
    monkeypatch.setattr(module, "TURN_S", 1.2 * FRESH_S)
    return Hardware()


def run(hardware: Hardware, **joules: float) -> dict[str, module.ProbeResult]:
    models = {name: Model(hardware, each) for name, each in joules.items()}
    images = np.zeros((8, 1, 4, 4), np.uint8)
    turns = take_turns(models, images, hardware, batch_size=8, num_repeats=3)
    take_latencies(models, images, turns, num_repeats=3)
    provenance = hardware.totals().provenance
    return {name: summary(taken, 8, provenance) for name, taken in turns.items()}


def test_each_model_pays_for_its_own_batches_only(hardware: Hardware) -> None:
    result = run(hardware, dear=4.0, cheap=1.0)
    for name, joules in (("dear", 4.0), ("cheap", 1.0)):
        figures = result[name]
        assert figures.inference_energy_j_low == pytest.approx(joules, rel=0.02)
        assert figures.inference_energy_j_high == pytest.approx(joules, rel=0.02)
        assert figures.latency_ms_p50 >= 1
        assert 0.001 / 8 <= figures.inference_time_s_low <= figures.inference_time_s
        assert figures.inference_time_s <= figures.inference_time_s_high
        assert figures.throughput_per_s == pytest.approx(1 / figures.inference_time_s)
        assert (figures.num_repeats, figures.batch_size) == (3, 8)


def test_a_turn_is_as_long_as_a_slow_source_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """NVML's power is a mean over a second: two of them fit into a turn."""
    for name in ("WARM_UP_S", "TURN_S"):
        monkeypatch.setattr(module, name, 0.001)
    took_s = {}
    for source in ("rapl", "codecarbon 3.3.2, TDP x load", "nvml power, integrated"):
        before_s = time.perf_counter()
        models = {"only": Model(Hardware(), 1.0)}
        images = np.zeros((1, 1, 2, 2), np.uint8)
        take_turns(models, images, Hardware(source), batch_size=8, num_repeats=1)
        took_s[source.split()[0]] = time.perf_counter() - before_s
    assert took_s["nvml"] >= 2
    assert 0.1 <= took_s["codecarbon"] < 2
    assert took_s["rapl"] < took_s["nvml"]


def test_unknown_energy_is_none_and_the_rest_is_known(hardware: Hardware) -> None:
    hardware.lost = True
    figures = run(hardware, only=1.0)["only"]
    assert figures.inference_energy_j is None
    assert figures.provenance == "unknown"
    assert figures.throughput_per_s > 0
