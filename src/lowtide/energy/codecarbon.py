"""CPU and RAM through CodeCarbon's offline tracker: counters where it finds them, else a model."""

import logging
from importlib import metadata
from typing import Any, Self

from lowtide.energy.sources import Provenance, Reading
from lowtide.errors import MeterError

KWH_IN_J = 3.6e6
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
            country_iso_code="USA",
            force_carbon_intensity_g_co2e_kwh=1.0,  # grams are the ledger's business
            output_methods=[],
            allow_multiple_runs=True,
            measure_power_secs=86400,
            gpu_ids=[],
            log_level="error",
            output_handlers=[latest := Latest()],
        )
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
