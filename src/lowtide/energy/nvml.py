"""GPUs through NVML: the total-energy counter, or integrated power where there is none."""

import os
import time
from dataclasses import dataclass
from typing import Any, Self

from lowtide.energy.sources import Reading
from lowtide.errors import MeterError

COUNTER = "nvml energy counter"
POWER = "nvml power, integrated"


@dataclass
class _Gpu:
    component: str
    handle: Any
    counter_mj: int | None  # last reading; None where the counter is missing
    power_w: float
    energy_j: float = 0.0


class NvmlSource:
    def __init__(self, nvml: Any, gpus: list[tuple[int, Any]]) -> None:
        self._nvml = nvml
        self._read_at = time.monotonic()
        self._gpus = [
            _Gpu(f"gpu{index}", handle, self._counter_mj(handle), self._power_w(handle))
            for index, handle in gpus
        ]

    @classmethod
    def open(cls) -> Self | None:
        """None where there is no NVIDIA driver, no GPU, or no pynvml."""
        try:
            import pynvml
        except ImportError:
            return None
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError:
            return None
        gpus = _visible(pynvml)
        return cls(pynvml, gpus) if gpus else None

    def read(self) -> list[Reading]:
        now = time.monotonic()
        elapsed_s, self._read_at = now - self._read_at, now
        try:
            return [self._advance(gpu, elapsed_s) for gpu in self._gpus]
        except self._nvml.NVMLError as error:
            raise MeterError(f"the GPU driver stopped answering: {error}") from None

    def close(self) -> None:
        self._nvml.nvmlShutdown()

    def _advance(self, gpu: _Gpu, elapsed_s: float) -> Reading:
        before_mj, before_w = gpu.counter_mj, gpu.power_w
        gpu.counter_mj, gpu.power_w = self._counter_mj(gpu.handle), self._power_w(gpu.handle)
        counted = before_mj is not None and gpu.counter_mj is not None
        if counted and gpu.counter_mj >= before_mj:  # type: ignore[operator]
            gpu.energy_j += (gpu.counter_mj - before_mj) / 1e3  # type: ignore[operator]
        else:  # no counter, or it was reset: bridge with the trapezoid of the power readings
            gpu.energy_j += (before_w + gpu.power_w) / 2 * elapsed_s
        return Reading(gpu.component, gpu.energy_j, COUNTER if counted else POWER, "measured")

    def _counter_mj(self, handle: Any) -> int | None:
        try:
            return int(self._nvml.nvmlDeviceGetTotalEnergyConsumption(handle))
        except self._nvml.NVMLError_NotSupported:
            return None

    def _power_w(self, handle: Any) -> float:
        return float(self._nvml.nvmlDeviceGetPowerUsage(handle)) / 1e3


def _visible(nvml: Any) -> list[tuple[int, Any]]:
    """The GPUs that CUDA_VISIBLE_DEVICES leaves to this process, by driver index."""
    handles = [
        (index, nvml.nvmlDeviceGetHandleByIndex(index))
        for index in range(nvml.nvmlDeviceGetCount())
    ]
    wanted = os.environ.get("CUDA_VISIBLE_DEVICES")
    if wanted is None:
        return handles
    names = {name.strip() for name in wanted.split(",")}
    return [
        (index, handle)
        for index, handle in handles
        if str(index) in names or str(nvml.nvmlDeviceGetUUID(handle)) in names
    ]
