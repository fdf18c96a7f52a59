"""Joules of the running server, shared out over what it has answered."""

import asyncio
import threading
import time
from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass, fields

from lowtide.energy.counting import CountingWindow
from lowtide.energy.process_tree import ProcessTreeSource
from lowtide.energy.sources import KWH_IN_J, open_sources
from lowtide.serving.metrics import UNKNOWN, Metrics
from lowtide.serving.present import PresentIntensity

EVERY_S = 5.0
KEPT = 12  # intervals that "lately" is


@dataclass
class Used:
    """Of one interval, or summed. `runtime_s` are core-seconds in ONNX Runtime, about."""

    energy_j: float = 0.0
    cpu_s: float = 0.0
    runtime_s: float = 0.0
    num_requests: int = 0
    num_images: int = 0
    num_batches: int = 0

    @property
    def request_energy_j(self) -> float | None:
        return self.energy_j / self.num_requests if self.num_requests else None

    @property
    def image_energy_j(self) -> float | None:
        """All that the process used: HTTP and JSON, too."""
        return self.energy_j / self.num_images if self.num_images else None

    @property
    def inference_energy_j(self) -> float | None:
        """The part in the runtime, by CPU time: what a probe of the bare model compares with."""
        if not self.num_images or self.cpu_s <= 0:
            return None
        return self.energy_j * min(self.runtime_s / self.cpu_s, 1.0) / self.num_images

    @property
    def batch_images(self) -> float | None:
        """Images of a batch, on average."""
        return self.num_images / self.num_batches if self.num_batches else None


class EnergyAccount:
    """This process's share of the machine's joules, by CPU time; None where no source can tell.

    `note_request` and `note_run` may be called from any thread.
    """

    def __init__(self, metrics: Metrics, intensity: PresentIntensity) -> None:
        self._metrics, self._intensity = metrics, intensity
        self._lock = threading.Lock()
        self._open = Used()
        self._kept: deque[Used] = deque(maxlen=KEPT)
        self._mixed = False  # with what a model took before it answered
        self._energy_j = 0.0
        self._cpu_s = 0.0
        self.lately = Used()
        self.provenance = "unknown"

    def note_request(self) -> None:
        with self._lock:
            self._open.num_requests += 1

    def note_run(self, num_images: int, core_s: float) -> None:
        """Of one batch."""
        with self._lock:
            self._open.num_images += num_images
            self._open.num_batches += 1
            self._open.runtime_s += core_s

    def begin_anew(self) -> None:
        """Another model answers: what opening it took, and what the one before took, is not its
        answers'. It stays in the sums that the metrics count."""
        with self._lock:
            self._kept.clear()
            self.lately, self._mixed = Used(), True

    async def keep(self, every_s: float = EVERY_S) -> None:
        """Read the counters again and again, until cancelled."""
        with ExitStack() as stack:
            window = await asyncio.to_thread(self._window, stack)
            self._energy_j, self._cpu_s = 0.0, time.process_time()
            while True:
                await asyncio.sleep(every_s)
                await asyncio.to_thread(self.sample, window)

    @staticmethod
    def _window(stack: ExitStack) -> CountingWindow:
        sources = open_sources()
        for source in sources:
            stack.callback(source.close)
        return CountingWindow([ProcessTreeSource(each, time.process_time) for each in sources])

    def sample(self, window: CountingWindow) -> None:
        """Close an interval."""
        window.sample()
        totals, cpu_s = window.totals(), time.process_time()
        with self._lock:
            closed, self._open = self._open, Used()
            mixed, self._mixed = self._mixed, False
            closed.cpu_s, self._cpu_s = cpu_s - self._cpu_s, cpu_s
            if totals.energy_kwh is None:
                self.lately, self.provenance = Used(), "unknown"
            else:
                closed.energy_j = totals.energy_kwh * KWH_IN_J - self._energy_j
                self._energy_j += closed.energy_j
                self.provenance = totals.provenance
                self._count(closed.energy_j)
                if not mixed:
                    self._kept.append(closed)
                    self.lately = _sum(self._kept)
        self._show()

    def emissions_g(self, energy_j: float | None) -> float | None:
        intensity = self._intensity.g_per_kwh
        if energy_j is None or intensity is None:
            return None
        return energy_j / KWH_IN_J * self._intensity.pue * intensity

    def _count(self, energy_j: float) -> None:
        self._metrics.energy_j.labels(self.provenance).inc(max(energy_j, 0.0))
        self._metrics.emissions_g.inc(max(self.emissions_g(energy_j) or 0.0, 0.0))

    def _show(self) -> None:
        request_j, inference_j = self.lately.request_energy_j, self.lately.inference_energy_j
        self._metrics.request_energy_j.set(_or_unknown(request_j))
        self._metrics.request_emissions_g.set(_or_unknown(self.emissions_g(request_j)))
        self._metrics.inference_energy_j.labels("served").set(_or_unknown(inference_j))


def _or_unknown(value: float | None) -> float:
    return UNKNOWN if value is None else value


def _sum(intervals: "deque[Used]") -> Used:
    return Used(**{f.name: sum(getattr(one, f.name) for one in intervals) for f in fields(Used)})
