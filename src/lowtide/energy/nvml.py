"""GPUs through NVML: the total-energy counter, or integrated power where there is none."""

import logging
import os
import time
from dataclasses import dataclass
from typing import Any, Self

from lowtide.energy.sources import Reading
from lowtide.errors import MeterError

COUNTER = "nvml energy counter"
POWER = "nvml power, integrated"
log = logging.getLogger(__name__)


@dataclass
class _Gpu:
    component: str
    handle: Any
    counter_mj: int | None  # the last readings; None where the GPU does not tell
    power_w: float | None
    energy_j: float = 0.0


class NvmlSource:
    """The GPUs that this process may use.

    One that cannot be read fails `read`, not the start: the work goes on, its energy is unknown.
    """

    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml
        self._gpus: list[_Gpu] = []
        self._failure: Exception | None = None
        self._read_at = time.monotonic()
        try:
            self._gpus = [
                _Gpu(f"gpu{index}", handle, self._counter_mj(handle), self._power_w(handle))
                for index, handle in _visible(nvml)
            ]
        except nvml.NVMLError as error:
            self._failure = error

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
        source = cls(pynvml)
        return source if source._gpus or source._failure else None

    def read(self) -> list[Reading]:
        now = time.monotonic()
        elapsed_s, self._read_at = now - self._read_at, now
        if self._failure is not None:
            raise MeterError(f"the GPU driver cannot be read: {self._failure}")
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
        elif before_w is not None and gpu.power_w is not None:
            # no counter, or it was reset: bridge with the trapezoid of the power readings
            gpu.energy_j += (before_w + gpu.power_w) / 2 * elapsed_s
        else:
            raise MeterError(
                f"{gpu.component} tells neither energy nor power: where the work does not use it, "
                "hide it with CUDA_VISIBLE_DEVICES"
            )
        return Reading(gpu.component, gpu.energy_j, COUNTER if counted else POWER, "measured")

    def _counter_mj(self, handle: Any) -> int | None:
        try:
            return int(self._nvml.nvmlDeviceGetTotalEnergyConsumption(handle))
        except (self._nvml.NVMLError_NotSupported, self._nvml.NVMLError_NoPermission):
            return None

    def _power_w(self, handle: Any) -> float | None:
        try:
            return float(self._nvml.nvmlDeviceGetPowerUsage(handle)) / 1e3
        except (self._nvml.NVMLError_NotSupported, self._nvml.NVMLError_NoPermission):
            return None


def _visible(nvml: Any) -> list[tuple[int, Any]]:
    """The GPUs that CUDA_VISIBLE_DEVICES leaves to this process, by driver index.

    CUDA may number GPUs by speed, the driver numbers them by bus; a MIG slice has no counter of its
    own. Where it is not sure which GPUs are meant all are taken: too much rather than the wrong.
    """
    handles = [
        (index, nvml.nvmlDeviceGetHandleByIndex(index))
        for index in range(nvml.nvmlDeviceGetCount())
    ]
    wanted = os.environ.get("CUDA_VISIBLE_DEVICES")
    if wanted is None:
        return handles
    names = {name.strip() for name in wanted.split(",")} - {""}
    numbered = any(name.isdigit() for name in names)
    sliced = any(name.startswith("MIG-") for name in names)
    if sliced or (numbered and _numbered_by_speed(nvml, handles)):
        log.warning(
            "CUDA_VISIBLE_DEVICES=%s does not tell the driver which GPUs are meant, all are "
            "metered: set CUDA_DEVICE_ORDER=PCI_BUS_ID, or name whole GPUs by UUID", wanted,
        )  # fmt: skip
        return handles
    return [(index, handle) for index, handle in handles if _named(nvml, index, handle, names)]


def _numbered_by_speed(nvml: Any, handles: list[tuple[int, Any]]) -> bool:
    """GPUs of one model are numbered by bus either way."""
    models = {nvml.nvmlDeviceGetName(handle) for _, handle in handles}
    return len(models) > 1 and os.environ.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID"


def _named(nvml: Any, index: int, handle: Any, names: set[str]) -> bool:
    """By number, or by UUID, which may be cut short."""
    uuid = str(nvml.nvmlDeviceGetUUID(handle))
    return str(index) in names or any(
        uuid.startswith(name) for name in names if name.startswith("GPU-")
    )
