"""Whatever can tell joules, behind one small protocol."""

from dataclasses import dataclass
from typing import Literal, Protocol

Provenance = Literal["measured", "estimated"]


@dataclass(frozen=True)
class Reading:
    """Joules of one component since its source was opened."""

    component: str
    energy_j: float
    source: str
    provenance: Provenance


class EnergySource(Protocol):
    def read(self) -> list[Reading]:
        """Cumulative joules by component; MeterError if the source has gone."""

    def close(self) -> None: ...


def open_sources() -> list[EnergySource]:
    """Counters first: NVML for GPUs, RAPL for CPU and DRAM; what they leave out is CodeCarbon's.

    A component that nothing here can read is absent: unknown, not zero.
    """
    from lowtide.energy.codecarbon import CodeCarbonSource
    from lowtide.energy.nvml import NvmlSource
    from lowtide.energy.rapl import RaplSource

    rapl = RaplSource.open()
    counted = frozenset() if rapl is None else rapl.kinds
    modelled = None if counted >= {"cpu", "ram"} else CodeCarbonSource.open(without=counted)
    opened = (NvmlSource.open(), rapl, modelled)
    return [source for source in opened if source is not None]


def kind(component: str) -> str:
    """gpu of gpu0, cpu of cpu1."""
    return component.rstrip("0123456789")
