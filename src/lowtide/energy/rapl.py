"""CPU packages and DRAM through the RAPL counters that Linux shows in /sys/class/powercap."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from lowtide.energy.sources import Reading, kind
from lowtide.errors import MeterError

ROOT = Path("/sys/class/powercap")
COUNTER = "rapl counter"
KINDS = {"package": "cpu", "dram": "ram"}  # core and uncore are inside the package


@dataclass
class _Domain:
    component: str
    file: Path
    range_uj: int  # where the counter begins again at 0
    last_uj: int
    energy_j: float = 0.0


class RaplSource:
    """Cumulative joules by package and by its DRAM, for the whole machine.

    A counter that has gone back has wrapped around once: it has to be read more often than that,
    which takes minutes at full power.
    """

    def __init__(self, domains: list[_Domain]) -> None:
        self._domains = domains

    @classmethod
    def open(cls, root: Path = ROOT) -> Self | None:
        """None where there are no counters, or, as on most kernels, only root may read them."""
        domains = []
        for folder in sorted(root.glob("intel-rapl:*")):  # so named on AMD, too
            try:
                domain = _domain(folder)
            except (OSError, ValueError):
                return None
            if domain is not None:
                domains.append(domain)
        return cls(domains) if domains else None

    @property
    def kinds(self) -> frozenset[str]:
        return frozenset(kind(domain.component) for domain in self._domains)

    def read(self) -> list[Reading]:
        return [self._advance(domain) for domain in self._domains]

    def close(self) -> None:
        pass

    def _advance(self, domain: _Domain) -> Reading:
        try:
            now_uj = _number(domain.file)
        except (OSError, ValueError) as error:
            raise MeterError(f"{domain.file} cannot be read any more: {error}") from None
        used_uj = now_uj - domain.last_uj
        if used_uj < 0:
            used_uj += domain.range_uj
        domain.last_uj = now_uj
        domain.energy_j += max(used_uj, 0) / 1e6
        return Reading(domain.component, domain.energy_j, COUNTER, "measured")


def _domain(folder: Path) -> _Domain | None:
    """`package-1` is cpu1; `dram` in `intel-rapl:1:0` is ram1; None for what is part of another."""
    name = (folder / "name").read_text(encoding="utf-8").strip()
    prefix = KINDS.get(name.partition("-")[0])
    if prefix is None:
        return None
    number = folder.name.split(":")[1]
    file = folder / "energy_uj"
    range_uj = _number(folder / "max_energy_range_uj")
    return _Domain(f"{prefix}{number}", file, range_uj, _number(file))


def _number(file: Path) -> int:
    return int(file.read_text(encoding="ascii"))
