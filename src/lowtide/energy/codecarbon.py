"""CPU and RAM through CodeCarbon's offline tracker: counters where it finds them, else a model."""

import csv
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any, Self

from lowtide.energy.sources import KWH_IN_J, Provenance, Reading
from lowtide.errors import MeterError

LOOK_UP = "_get_cpu_power_from_registry"
COUNTERS = ("rapl", "power gadget", "powermetrics", "pmic")


class CodeCarbonSource:
    """Asks the tracker on demand; its own scheduler, files and network stay unused."""

    def __init__(
        self, tracker: Any, latest: Any, version: str, without: frozenset[str] = frozenset()
    ) -> None:
        self._tracker, self._latest, self._version = tracker, latest, version
        self._without = without
        parts = getattr(tracker, "_hardware", ())  # absent where its start has failed
        hardware = " ".join(str(part) for part in parts).lower()
        self._measured = any(name in hardware for name in COUNTERS)

    @classmethod
    def open(cls, without: frozenset[str] = frozenset()) -> Self | None:
        """`without` kinds of component that are counted elsewhere; None if not installed."""
        try:
            import codecarbon
            from codecarbon.output_methods.base_output import BaseOutput
        except ImportError:
            return None

        class Latest(BaseOutput):
            total: Any = None

            def out(self, total: Any, delta: Any) -> None:  # noqa: ARG002
                self.total = total

        logger = logging.getLogger("codecarbon")
        logger.setLevel(logging.ERROR)
        tracker = codecarbon.OfflineEmissionsTracker(
            country_iso_code=None,  # with one it loads pandas for the country's name
            force_carbon_intensity_g_co2e_kwh=1.0,  # grams are the ledger's business
            output_methods=[],
            allow_multiple_runs=True,
            measure_power_secs=86400,
            gpu_ids=[],
            log_level="error",
            output_handlers=[latest := Latest()],
        )
        with tdp_without_pandas():
            tracker.start()
        return cls(tracker, latest, metadata.version("codecarbon"), without)

    def read(self) -> list[Reading]:
        self._latest.total = None  # `flush` keeps its failures to itself
        self._tracker.flush()
        total = self._latest.total
        if total is None:
            raise MeterError(
                "CodeCarbon has measured nothing: run `codecarbon detect` to see what it can read"
            )
        provenance: Provenance = "measured" if self._measured else "estimated"
        how = "counter" if self._measured else "TDP x load"
        name = f"codecarbon {self._version}"
        readings = [
            Reading("cpu", total.cpu_energy * KWH_IN_J, f"{name}, {how}", provenance),
            Reading("ram", total.ram_energy * KWH_IN_J, f"{name}, watts per module", "estimated"),
        ]
        return [reading for reading in readings if reading.component not in self._without]

    def close(self) -> None:
        self._tracker.stop()


@contextmanager
def tdp_without_pandas() -> Iterator[None]:
    """In the body CodeCarbon finds a CPU's TDP without pandas, which takes 70 MiB and a second.

    Only the reading of its table is replaced; which row is meant is CodeCarbon's to say. Of a
    CodeCarbon that is built otherwise everything stays as it is.
    """
    owner: Any = None
    with suppress(ImportError):
        from codecarbon.core import cpu

        owner = getattr(cpu, "TDP", None)
    own = getattr(owner, LOOK_UP, None)
    if own is None:
        yield
        return

    def look_up(tdp: Any, model: str) -> float | None:
        try:
            return _tdp_w(tdp, model)
        except (AttributeError, ImportError, LookupError, OSError, TypeError, ValueError):
            return own(tdp, model)  # type: ignore[no-any-return]

    setattr(owner, LOOK_UP, look_up)
    try:
        yield
    finally:
        setattr(owner, LOOK_UP, own)


def _tdp_w(tdp: Any, model: str) -> float | None:
    """None for a model that the table does not have."""
    from codecarbon.input import DataSource

    table = Path(DataSource().cpu_power_path)  # type: ignore[no-untyped-call]
    with table.open(encoding="utf-8", newline="") as file:
        rows = [(row["Name"], row["TDP"]) for row in csv.DictReader(file)]
    match = tdp._get_matching_cpu(model, {"Name": [name for name, _ in rows]})
    # Only the match has to be a number: of some the table says "27.29.5".
    return next((float(watts) for name, watts in rows if name == match), None)
