"""What one command used: the machine's joules, times its share of the CPU time.

CPU and RAM figures are of the whole machine; the share makes them the command's. A GPU is taken
whole: nothing tells which process its joules belong to.
"""

from collections.abc import Callable
from dataclasses import replace

import psutil

from lowtide.energy.sources import EnergySource, Reading

SHARE = "process tree share"
WHOLE = "whole device"


def busy_cpu_s() -> float:
    """Seconds of all cores spent working since boot, idling and waiting for disks left out."""
    times = psutil.cpu_times()._asdict()
    idle = ("idle", "iowait", "guest", "guest_nice", "steal")  # user holds guest already
    return float(sum(seconds for name, seconds in times.items() if name not in idle))


class ProcessTreeSource:
    """An `EnergySource` around another one. Joules count from the first read.

    `tree_cpu_s` gives cumulative CPU seconds of the command with all its descendants, those that
    have ended included. A reading that is lower than an earlier one is a process caught between
    its end and its parent's account: it is passed over, so that nothing counts twice. What a share
    was applied to is an estimate, even where the machine's joules were measured.
    """

    def __init__(
        self,
        inner: EnergySource,
        tree_cpu_s: Callable[[], float],
        machine_cpu_s: Callable[[], float] = busy_cpu_s,
    ) -> None:
        self._inner, self._tree_cpu_s, self._machine_cpu_s = inner, tree_cpu_s, machine_cpu_s
        self._tree_s, self._machine_s = tree_cpu_s(), machine_cpu_s()
        self._machine_j: dict[str, float] = {}
        self._tree_j: dict[str, float] = {}

    def read(self) -> list[Reading]:
        readings = self._inner.read()
        if all(_is_device(reading) for reading in readings):
            return [_whole(reading) for reading in readings]
        share = self._share()
        return [_whole(r) if _is_device(r) else self._shared(r, share) for r in readings]

    def close(self) -> None:
        self._inner.close()

    def _share(self) -> float:
        """Of the machine's CPU time since the last read, 0 to 1."""
        tree_s, machine_s = max(self._tree_cpu_s(), self._tree_s), self._machine_cpu_s()
        used_s, busy_s = tree_s - self._tree_s, machine_s - self._machine_s
        self._tree_s, self._machine_s = tree_s, machine_s
        return used_s / max(busy_s, used_s) if used_s > 0 else 0.0

    def _shared(self, reading: Reading, share: float) -> Reading:
        name = reading.component
        used_j = max(reading.energy_j - self._machine_j.get(name, reading.energy_j), 0.0)
        self._machine_j[name] = reading.energy_j
        self._tree_j[name] = self._tree_j.get(name, 0.0) + used_j * share
        return Reading(name, self._tree_j[name], f"{reading.source}, {SHARE}", "estimated")


def _is_device(reading: Reading) -> bool:
    return reading.component.startswith("gpu")


def _whole(reading: Reading) -> Reading:
    return replace(reading, source=f"{reading.source}, {WHOLE}")
