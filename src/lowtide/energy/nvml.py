"""GPUs through NVML: the total-energy counter, or integrated power where there is none."""

import logging
import time
from typing import Any

from lowtide.energy.driver import close_driver
from lowtide.energy.gpus import Gpu, VisibleGpus, none_visible, visible_gpus
from lowtide.energy.sources import EnergySource, Reading
from lowtide.errors import MeterError

COUNTER = "nvml energy counter"
POWER = "nvml power, integrated"
SLICED = "whole GPU of a MIG slice"
HIDE = "where the work does not use it, hide it with CUDA_VISIBLE_DEVICES"
log = logging.getLogger(__name__)


def open_gpus() -> list[EnergySource]:
    """A source for each GPU that this process may use, so that one that fails fails alone.

    A GPU that cannot be read fails `read`, not the start: the work goes on, its energy is unknown.
    None of them where there is no NVIDIA driver, no GPU for this process, or no pynvml.
    """
    if none_visible():
        return []
    try:
        import pynvml
    except ImportError:
        return []
    try:
        pynvml.nvmlInit()
    except (
        pynvml.NVMLError_LibraryNotFound,
        pynvml.NVMLError_DriverNotLoaded,
        pynvml.NVMLError_GpuNotFound,
    ):
        return []
    except pynvml.NVMLError as error:  # there is a driver: its GPUs are unknown, not absent
        return [UnknownGpus(error)]
    try:
        visible = visible_gpus(pynvml)
        sources: list[EnergySource] = [GpuSource(pynvml, gpu) for gpu in visible.gpus]
    except pynvml.NVMLError as error:
        return [UnknownGpus(error)]
    finally:
        close_driver(pynvml)  # each source keeps it open for itself
    _warn(visible)
    return sources


class UnknownGpus:
    """The GPUs of a driver that does not tell which there are."""

    def __init__(self, failure: Exception) -> None:
        self._failure = failure

    def read(self) -> list[Reading]:
        raise MeterError(f"the GPU driver cannot be read ({self._failure}): {HIDE}")

    def close(self) -> None:
        pass


class GpuSource:
    """One GPU. The driver counts who has it open, so sources may be closed in any order."""

    def __init__(self, nvml: Any, gpu: Gpu) -> None:
        nvml.nvmlInit()
        self._nvml, self._gpu = nvml, gpu
        self._counter_mj: int | None = None  # the last readings; None where it does not tell
        self._power_w: float | None = None
        self._failure: Exception | None = None
        try:
            self._look()
        except nvml.NVMLError as error:
            self._failure = error
        self._read_at_s, self._energy_j = time.monotonic(), 0.0

    def read(self) -> list[Reading]:
        """Cumulative joules since the start.

        Raises:
            MeterError: the GPU does not answer, or tells nothing.
        """
        if self._failure is not None:
            raise MeterError(f"{self._gpu.name} cannot be read ({self._failure}): {HIDE}")
        self._energy_j, source = self._advanced()
        source = f"{source}, {SLICED}" if self._gpu.sliced else source
        return [Reading(self._gpu.name, self._energy_j, source, "measured")]

    def close(self) -> None:
        close_driver(self._nvml)

    def _advanced(self) -> tuple[float, str]:
        """Joules since the start, and what counted the last of them."""
        name, before_mj, before_w = self._gpu.name, self._counter_mj, self._power_w
        try:
            self._look()
        except self._nvml.NVMLError as error:
            raise MeterError(
                f"{name} stopped answering ({error}): see `nvidia-smi` and `dmesg`"
            ) from None
        now_s = time.monotonic()
        elapsed_s, self._read_at_s = now_s - self._read_at_s, now_s
        used_j, source = _counted_j(name, before_mj, self._counter_mj), COUNTER
        if used_j is None:  # bridge with the trapezoid of the power readings
            used_j, source = _integrated_j(before_w, self._power_w, elapsed_s), POWER
        if used_j is None:
            raise MeterError(f"{name} tells neither energy nor power: {HIDE}")
        return self._energy_j + used_j, source

    def _look(self) -> None:
        counter_mj = self._told(self._nvml.nvmlDeviceGetTotalEnergyConsumption)
        power_mw = self._told(self._nvml.nvmlDeviceGetPowerUsage)
        self._counter_mj, self._power_w = counter_mj, None if power_mw is None else power_mw / 1e3

    def _told(self, question: Any) -> int | None:
        try:
            return int(question(self._gpu.handle))
        except (
            self._nvml.NVMLError_NotSupported,
            self._nvml.NVMLError_NoPermission,
            self._nvml.NVMLError_FunctionNotFound,  # a driver from before the counter
        ):
            return None


def _warn(visible: VisibleGpus) -> None:
    if visible.doubt is not None:
        log.warning(
            "%s, all are metered: set CUDA_DEVICE_ORDER=PCI_BUS_ID, or name whole GPUs by UUID",
            visible.doubt,
        )
    for gpu in visible.gpus:
        if gpu.sliced:
            log.warning(
                "%s is split by MIG and counts its energy as a whole: other users' is included",
                gpu.name,
            )


def _counted_j(name: str, before_mj: int | None, now_mj: int | None) -> float | None:
    """None where there is no counter, or where it was reset meanwhile."""
    if before_mj is None or now_mj is None:
        return None
    if now_mj < before_mj:
        log.warning(
            "the energy counter of %s went back from %d to %d mJ: the time between the two counts "
            "by its power", name, before_mj, now_mj,
        )  # fmt: skip
        return None
    return (now_mj - before_mj) / 1e3


def _integrated_j(before_w: float | None, now_w: float | None, elapsed_s: float) -> float | None:
    if before_w is None or now_w is None:
        return None
    return (before_w + now_w) / 2 * elapsed_s
