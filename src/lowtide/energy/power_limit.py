"""The GPUs' power limit as a lever: opt-in, and given back on every way out.

Limits are in watts; NVML's are in milliwatts. Changing them takes the driver's permission, as a
rule root's. Where it is not given nothing is changed, which is said once, and the work goes on.
"""

import logging
import math
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lowtide.energy.driver import answering, close_driver, open_driver
from lowtide.energy.gpus import Gpu, visible_gpus
from lowtide.energy.limit_record import LimitRecord, RecordFile, give_back, restore_limits
from lowtide.energy.way_out import WayOut
from lowtide.errors import ArtifactError, MeterError, UsageError

log = logging.getLogger(__name__)


def limits(min_w: float, max_w: float, num: int) -> tuple[float, ...]:
    """Whole watts to profile, evenly spaced, both ends included, the highest first; `num` 1 is the
    highest alone. Fewer than `num` where the range has fewer whole watts.

    Raises:
        ValueError: no limit is asked for, or the range holds no whole watt.
    """
    lowest, highest = math.ceil(min_w), math.floor(max_w)
    if num < 1 or lowest > highest:
        raise ValueError(f"{num} power limits from {min_w:g} to {max_w:g} W: there are none")
    step = (highest - lowest) / max(num - 1, 1)
    return tuple(dict.fromkeys(float(round(highest - step * place)) for place in range(num)))


@dataclass
class _Held:
    """A GPU whose limit this process may change, from the driver's least to the one found."""

    gpu: Gpu
    file: RecordFile
    record: LimitRecord
    range_mw: tuple[int, int]


class PowerLimit:
    """While it is entered, `set` changes the limit of the GPUs that this process may use.

    The former limits come back on leaving: by return or exception, at the interpreter's exit, and
    before SIGTERM, SIGHUP or SIGINT ends the process. What kill -9 leaves behind is put right by
    the next one that enters with the same `state` folder, or by `restore_limits`. A limit that
    somebody else has set meanwhile is left as it is.

    One process at a time holds a GPU. GPUs that MIG has split are left alone: others work on them.

    Args:
        state: a folder for the former limits, the same for all that change this machine's GPUs.
    """

    def __init__(self, state: Path) -> None:
        self._state = state
        self._nvml: Any = None
        self._held: list[_Held] = []
        self._way_out = WayOut(self._leave)

    def __enter__(self) -> Self:
        restore_limits(self._state)
        try:
            self._nvml = open_driver()
            for gpu in self._whole_gpus():
                self._held.append(self._claimed(gpu))
            self._check_range()
        except (MeterError, ArtifactError) as error:
            log.warning("the power limit stays as it is: %s", error)
            self._leave()
        self._way_out.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._way_out.close()

    @property
    def range_w(self) -> tuple[float, float] | None:
        """Lowest and highest limit that all GPUs may have, in watts: the driver's least, and the
        limit that was found, which is never raised. None where no limit can be changed."""
        if not self._held:
            return None
        lowest_mw = max(held.range_mw[0] for held in self._held)
        return lowest_mw / 1e3, min(held.range_mw[1] for held in self._held) / 1e3

    @property
    def gpus(self) -> tuple[str, ...]:
        """Whose limit can be changed, by UUID."""
        return tuple(held.file.uuid for held in self._held)

    def set(self, limit_w: float) -> bool:
        """Limit each GPU, to the nearest whole watt; False where that is not to be had.

        All GPUs or none: where one refuses the others get theirs back, and from then on no limit
        is changed.

        Raises:
            UsageError: the limit lies outside of `range_w`.
        """
        if self.range_w is None:
            return False
        lowest_w, highest_w = self.range_w
        if not lowest_w <= limit_w <= highest_w:
            raise UsageError(
                f"a power limit of {limit_w:g} W: the GPUs take {lowest_w:g} to {highest_w:g} W "
                "(the limit that was found is never raised)"
            )
        limit_mw = round(min(max(round(limit_w), lowest_w), highest_w) * 1e3)
        try:
            for held in self._held:
                self._limit(held, limit_mw)
        except (MeterError, ArtifactError) as error:
            log.warning("power limits are not changed from here on: %s", error)
            self._leave()
            return False
        return True

    def _limit(self, held: _Held, limit_mw: int) -> None:
        """The record first: killed in between, it names a limit that does not hold."""
        held.record = replace(held.record, ours_mw=(*held.record.ours_mw, limit_mw))
        held.file.write(held.record)
        with answering(self._nvml, held.gpu.name):
            self._nvml.nvmlDeviceSetPowerManagementLimit(held.gpu.handle, limit_mw)

    def _whole_gpus(self) -> tuple[Gpu, ...]:
        with answering(self._nvml, "the GPU driver"):
            visible = visible_gpus(self._nvml)
        if visible.doubt is not None:
            raise MeterError(f"{visible.doubt}: name whole GPUs by UUID")
        for gpu in visible.gpus:
            if gpu.sliced:
                raise MeterError(f"{gpu.name} is split by MIG: its limit would hold for all slices")
        if not visible.gpus:
            raise MeterError("this process may use no GPU: see CUDA_VISIBLE_DEVICES")
        return visible.gpus

    def _claimed(self, gpu: Gpu) -> _Held:
        nvml = self._nvml
        with answering(nvml, gpu.name):
            file = RecordFile(self._state, str(nvml.nvmlDeviceGetUUID(gpu.handle)))
            if not file.hold():
                raise MeterError(f"{gpu.name} has it set by another process: wait for its end")
            try:
                if file.read() is not None:
                    raise MeterError(f"{gpu.name} has that of a killed process, see above")
                former_mw = nvml.nvmlDeviceGetPowerManagementLimit(gpu.handle)
                least_mw, most_mw = nvml.nvmlDeviceGetPowerManagementLimitConstraints(gpu.handle)
            except BaseException:
                file.release()
                raise
        return _Held(gpu, file, LimitRecord(former_mw), (least_mw, min(most_mw, former_mw)))

    def _check_range(self) -> None:
        assert self.range_w is not None
        lowest_w, highest_w = self.range_w
        if math.ceil(lowest_w) > math.floor(highest_w):
            raise MeterError(
                f"there is none that all GPUs may have: at least {lowest_w:g} W by the driver, at "
                f"most {highest_w:g} W as it was found"
            )

    def _leave(self) -> None:
        """Give back what was changed and let go of the GPUs. Twice is once."""
        for held in self._held:
            if held.record.ours_mw:
                try:
                    give_back(self._nvml, held.gpu.handle, held.file, held.record)
                except (MeterError, ArtifactError) as error:
                    log.warning("%s", error)
            held.file.release()
        self._held = []
        if self._nvml is not None:
            close_driver(self._nvml)
            self._nvml = None
