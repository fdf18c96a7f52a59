"""What a controller reads, keeps in a checkpoint, and leaves as a record that can be repeated."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lowtide.artifacts import read_json
from lowtide.controller.knobs import Knobs
from lowtide.controller.noise import NoiseScale
from lowtide.energy.totals import Totals
from lowtide.errors import ArtifactError, UsageError
from lowtide.training.profile import DeviceProfile


@dataclass(frozen=True)
class Reading:
    """So far in this fit; None where it is unknown. `intensity` is that of now over a usual one.

    `active_...`: of the work, without what was used while it waited.
    """

    energy_kwh: float | None
    emissions_g: float | None
    active_energy_kwh: float | None
    active_emissions_g: float | None
    intensity: float

    @classmethod
    def of(cls, totals: Totals, intensity: float) -> "Reading":
        return cls(
            totals.energy_kwh, totals.emissions_g, totals.active_energy_kwh,
            totals.active_emissions_g, intensity,
        )  # fmt: skip


@dataclass
class State:
    """What is kept in a checkpoint, beside the gates' tensors."""

    gates: bool = False  # on the model now
    noise: NoiseScale = field(default_factory=NoiseScale)
    device: DeviceProfile = field(default_factory=DeviceProfile)
    reference_j: float = 0.0
    pressure: float = 0.0
    last: tuple[float, float | None, float | None] | None = None  # an epoch ago: where, kWh, g
    decisions: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, content: dict[str, Any]) -> "State":
        if not content:
            return cls()
        noise, device = NoiseScale(**content["noise"]), DeviceProfile(**content["device"])
        return cls(**{**content, "noise": noise, "device": device})


@dataclass(frozen=True)
class Record:
    """What a controller has measured and decided: enough to train in the same way again."""

    weights: dict[str, float]
    levers: dict[str, Any]
    base_size: int
    device: DeviceProfile
    decisions: list[dict[str, Any]]

    @classmethod
    def read(cls, path: Path) -> "Record":
        try:
            content = read_json(path)
            record = cls(**{**content, "device": DeviceProfile(**content["device"])})
            for one in record.decisions:
                Knobs(**one["knobs"]), float(one["pressure"]), tuple(one["reasons"])
            return record
        except (ArtifactError, TypeError, KeyError, ValueError):
            raise UsageError(
                f"{path} holds no decisions: take a train_decisions.json, or set "
                "controller.decisions to null"
            ) from None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)
