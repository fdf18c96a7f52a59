"""Latency, throughput and joules per inference, candidates taking turns so that drift cancels."""

import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from lowtide.energy.sources import KWH_IN_J, resolution_s
from lowtide.energy.totals import Window

WARM_UP_S = 0.1
TURN_S = 0.2  # at least; long enough for the load estimate and for counters of 100 ms
UPDATES = 2  # of the slowest source that fit into a turn
LATENCY_CALLS = 30  # batch-1 calls of a model, then it is the next one's turn

Key = TypeVar("Key", bound=Hashable)


class Runnable(Protocol):
    """A file in its runtime, a network in torch: whatever classifies a batch."""

    def run(self, images: np.ndarray) -> np.ndarray:
        """Logits [N, K] of uint8 images [N, C, H, W]; returns when they are there."""


@dataclass(frozen=True)
class ProbeResult:
    """Medians over turns; `low` and `high` are the 5th and 95th percentile.

    `provenance` is measured, estimated or mixed, of the energy; unknown where there is none.
    """

    latency_ms_p50: float  # batch 1
    latency_ms_p95: float
    inference_time_s: float  # at the probe's batch size, as the rest
    inference_time_s_low: float
    inference_time_s_high: float
    throughput_per_s: float
    inference_energy_j: float | None
    inference_energy_j_low: float | None
    inference_energy_j_high: float | None
    provenance: str
    num_repeats: int
    batch_size: int


@dataclass
class Turns:
    """What a model took, turn by turn: turn i of all models was taken at about the same time."""

    latencies_s: list[float]  # empty unless `take_latencies` was asked
    seconds_per_image: list[float]
    joules_per_image: list[float | None]

    @property
    def joules(self) -> list[float] | None:
        """Per image; None where a turn's are unknown."""
        known = [value for value in self.joules_per_image if value is not None]
        return known if len(known) == len(self.joules_per_image) else None

    @property
    def inference_energy_j(self) -> float | None:
        """The median."""
        return None if self.joules is None else spread(self.joules)[1]

    @property
    def inference_time_s(self) -> float:
        return spread(self.seconds_per_image)[1]


def take_turns(
    models: Mapping[Key, Runnable],
    images: np.ndarray,
    window: Window,
    *,
    batch_size: int,
    num_repeats: int,
) -> dict[Key, Turns]:
    """Measure every model `num_repeats` times on uint8 images [N, C, H, W], interleaved.

    Energy is what the window metered during a turn, divided by the images of that turn.
    """
    batch = np.ascontiguousarray(np.resize(images, (batch_size, *images.shape[1:])))
    turns = {name: Turns([], [], []) for name in models}
    for model in models.values():
        _run_for(model, batch, WARM_UP_S)
    turn_s = _turn_s(window)
    for _ in range(num_repeats):
        for name, model in models.items():
            _take_turn(model, batch, window, turns[name], turn_s)
    return turns


def take_latencies(
    models: Mapping[str, Runnable],
    images: np.ndarray,
    turns: Mapping[str, Turns],
    *,
    num_repeats: int,
) -> None:
    """Seconds of single images, added to the turns: the first of uint8 images [N, C, H, W].

    In a pass of its own: sources look anew only after some 50 ms, so that shorter work just before
    a turn would be booked on it.
    """
    image = np.array(images[:1])
    for _ in range(num_repeats):
        for name, model in models.items():
            turns[name].latencies_s += _latencies_s(model, image)


def _latencies_s(model: Runnable, image: np.ndarray) -> list[float]:
    latencies_s = []
    for _ in range(LATENCY_CALLS):
        started = time.perf_counter()
        model.run(image)
        latencies_s.append(time.perf_counter() - started)
    return latencies_s


def _turn_s(window: Window) -> float:
    window.sample()
    sources = {part.source for part in window.totals().components.values()}
    return max([TURN_S, *(UPDATES * (resolution_s(source) or 0.0) for source in sources)])


def _take_turn(
    model: Runnable, batch: np.ndarray, window: Window, turns: Turns, turn_s: float
) -> None:
    window.sample()
    before = window.totals().energy_kwh
    started = time.perf_counter()
    num_batches = _run_for(model, batch, turn_s)
    elapsed_s = time.perf_counter() - started
    window.sample()
    after = window.totals().energy_kwh
    num_images = num_batches * len(batch)
    turns.seconds_per_image.append(elapsed_s / num_images)
    if before is None or after is None:
        turns.joules_per_image.append(None)
    else:
        turns.joules_per_image.append((after - before) * KWH_IN_J / num_images)


def _run_for(model: Runnable, batch: np.ndarray, seconds: float) -> int:
    end = time.perf_counter() + seconds
    num_batches = 0
    while time.perf_counter() < end:
        model.run(batch)
        num_batches += 1
    return num_batches


def summary(turns: Turns, batch_size: int, provenance: str) -> ProbeResult:
    """`provenance` is that of the window's energy."""
    low_s, middle_s, high_s = spread(turns.seconds_per_image)
    joules = turns.joules
    low_j, middle_j, high_j = (None, None, None) if joules is None else spread(joules)
    return ProbeResult(
        latency_ms_p50=float(np.percentile(turns.latencies_s, 50)) * 1e3,
        latency_ms_p95=float(np.percentile(turns.latencies_s, 95)) * 1e3,
        inference_time_s=middle_s,
        inference_time_s_low=low_s,
        inference_time_s_high=high_s,
        throughput_per_s=1 / middle_s,
        inference_energy_j=middle_j,
        inference_energy_j_low=low_j,
        inference_energy_j_high=high_j,
        provenance="unknown" if joules is None else provenance,
        num_repeats=len(turns.seconds_per_image),
        batch_size=batch_size,
    )


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """5th percentile, median and 95th percentile."""
    low, middle, high = np.percentile(values, [5, 50, 95])
    return float(low), float(middle), float(high)
