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
    """GPU counters where there is a GPU; CPU and RAM through CodeCarbon where it is installed.

    A component that nothing here can read is absent: unknown, not zero.
    """
    from lowtide.energy.codecarbon import CodeCarbonSource
    from lowtide.energy.nvml import NvmlSource

    opened = (NvmlSource.open(), CodeCarbonSource.open())
    return [source for source in opened if source is not None]
