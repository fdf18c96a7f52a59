"""Latency, throughput and joules per inference, candidates taking turns so that drift cancels."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lowtide.energy.sources import KWH_IN_J
from lowtide.energy.totals import Totals
from lowtide.runtime.onnx_model import OnnxModel

WARM_UP_S = 0.1
TURN_S = 0.2  # long enough for the load estimate and for counters that update each 100 ms
LATENCY_CALLS = 30  # batch-1 calls of a model, then it is the next one's turn


class Window(Protocol):
    def sample(self) -> None: ...

    def totals(self) -> Totals: ...


@dataclass(frozen=True)
class ProbeResult:
    latency_ms_p50: float  # batch 1
    latency_ms_p95: float
    throughput_per_s: float  # at the probe's batch size, median over turns
    inference_energy_j: float | None
    inference_energy_j_low: float | None  # 5th and 95th percentile over turns
    inference_energy_j_high: float | None
    provenance: str
    num_repeats: int
    batch_size: int


@dataclass
class _Turns:
    latencies_s: list[float]
    seconds_per_image: list[float]
    joules_per_image: list[float | None]


def probe(
    models: Mapping[str, OnnxModel],
    images: np.ndarray,
    window: Window,
    *,
    batch_size: int,
    num_repeats: int,
) -> dict[str, ProbeResult]:
    """Measure every model `num_repeats` times on uint8 images [N, C, H, W], interleaved.

    Energy is what the window metered during a turn, divided by the images of that turn. Latency
    has a pass of its own: sources look anew only after some 50 ms, so that shorter work just before
    a turn would be booked on it.
    """
    batch = np.ascontiguousarray(np.resize(images, (batch_size, *images.shape[1:])))
    turns = {name: _Turns([], [], []) for name in models}
    for model in models.values():
        _run_for(model, batch, WARM_UP_S)
    for _ in range(num_repeats):
        for name, model in models.items():
            turns[name].latencies_s += _latencies_s(model, batch[:1])
    for _ in range(num_repeats):
        for name, model in models.items():
            _take_turn(model, batch, window, turns[name])
    provenance = window.totals().provenance
    return {name: _summary(taken, batch_size, provenance) for name, taken in turns.items()}


def _latencies_s(model: OnnxModel, image: np.ndarray) -> list[float]:
    latencies_s = []
    for _ in range(LATENCY_CALLS):
        started = time.perf_counter()
        model.run(image)
        latencies_s.append(time.perf_counter() - started)
    return latencies_s


def _take_turn(model: OnnxModel, batch: np.ndarray, window: Window, turns: _Turns) -> None:
    window.sample()
    before = window.totals().energy_kwh
    started = time.perf_counter()
    num_batches = _run_for(model, batch, TURN_S)
    elapsed_s = time.perf_counter() - started
    window.sample()
    after = window.totals().energy_kwh
    num_images = num_batches * len(batch)
    turns.seconds_per_image.append(elapsed_s / num_images)
    if before is None or after is None:
        turns.joules_per_image.append(None)
    else:
        turns.joules_per_image.append((after - before) * KWH_IN_J / num_images)


def _run_for(model: OnnxModel, batch: np.ndarray, seconds: float) -> int:
    end = time.perf_counter() + seconds
    num_batches = 0
    while time.perf_counter() < end:
        model.run(batch)
        num_batches += 1
    return num_batches


def _summary(turns: _Turns, batch_size: int, provenance: str) -> ProbeResult:
    joules = [value for value in turns.joules_per_image if value is not None]
    complete = len(joules) == len(turns.joules_per_image)
    low, middle, high = np.percentile(joules, [5, 50, 95]) if complete else (None, None, None)
    return ProbeResult(
        latency_ms_p50=float(np.percentile(turns.latencies_s, 50)) * 1e3,
        latency_ms_p95=float(np.percentile(turns.latencies_s, 95)) * 1e3,
        throughput_per_s=1 / float(np.median(turns.seconds_per_image)),
        inference_energy_j=None if middle is None else float(middle),
        inference_energy_j_low=None if low is None else float(low),
        inference_energy_j_high=None if high is None else float(high),
        provenance=provenance if complete else "unknown",
        num_repeats=len(turns.seconds_per_image),
        batch_size=batch_size,
    )
