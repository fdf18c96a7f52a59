"""Whatever can tell joules, behind one small protocol."""

from dataclasses import dataclass
from typing import Literal, Protocol

Provenance = Literal["measured", "estimated"]

KWH_IN_J = 3.6e6
# The longest time from one update to the next of what a source reads, by how its name begins.
# NVML counts each 20 to 100 ms by model, and its power is a mean over 1 s on Ampere and newer;
# CodeCarbon repeats its last answer when it is asked again sooner.
UPDATED_EACH_S = {"nvml energy": 0.1, "nvml power": 1.0, "codecarbon": 0.05, "rapl": 0.001}


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
    """Counters first: NVML for each GPU, RAPL for CPU and DRAM; the rest is CodeCarbon's estimate.

    A component that nothing here can read is absent: unknown, not zero.
    """
    from lowtide.energy.codecarbon import CodeCarbonSource
    from lowtide.energy.nvml import open_gpus
    from lowtide.energy.rapl import RaplSource

    rapl = RaplSource.open()
    counted = frozenset() if rapl is None else rapl.kinds
    modelled = None if counted >= {"cpu", "ram"} else CodeCarbonSource.open(without=counted)
    return open_gpus() + [source for source in (rapl, modelled) if source is not None]


def kind(component: str) -> str:
    """gpu of gpu0, cpu of cpu1, also of cpu1@node2."""
    return component.partition("@")[0].rstrip("0123456789")


def resolution_s(source: str) -> float | None:
    """Seconds from one update to the next of a source, by its name in a `Reading` or the ledger.

    What is metered for less time than that has the joules of one update or of none. None where it
    is not known.
    """
    return next((s for name, s in UPDATED_EACH_S.items() if source.startswith(name)), None)
