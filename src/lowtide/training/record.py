"""What a controller reads, keeps in a checkpoint, and leaves as a record that can be repeated."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lowtide.artifacts import read_json
from lowtide.controller.knobs import Knobs
from lowtide.controller.noise import NoiseScale
from lowtide.errors import UsageError


@dataclass(frozen=True)
class Reading:
    """So far in this fit; None where it is unknown. `intensity` is that of now over a usual one."""

    energy_kwh: float | None
    emissions_g: float | None
    intensity: float


@dataclass
class State:
    """What is kept in a checkpoint, beside the gates' tensors."""

    gates: bool = False  # on the model now
    noise: NoiseScale = field(default_factory=NoiseScale)
    joules_per_mac: dict[str, float] = field(default_factory=dict)
    reference_j: float = 0.0
    joules_per_image: dict[str, float] = field(default_factory=dict)  # by batch size
    joules_by_precision: dict[str, float] = field(default_factory=dict)  # per image
    small_image_cost: float | None = None  # of a step on the smallest images over whole ones
    pressure: float = 0.0
    last: tuple[float, float | None, float | None] | None = None  # position, kWh, g an epoch ago
    decisions: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, content: dict[str, Any]) -> "State":
        return cls(**{**content, "noise": NoiseScale(**content["noise"])}) if content else cls()


@dataclass(frozen=True)
class Record:
    """What a controller has measured and decided: enough to train in the same way again."""

    weights: dict[str, float]
    levers: dict[str, Any]
    base_size: int
    joules_per_mac: dict[str, float]
    joules_per_image: dict[str, float]
    joules_by_precision: dict[str, float]
    decisions: list[dict[str, Any]]
    small_image_cost: float | None = None

    @classmethod
    def read(cls, path: Path) -> "Record":
        content = read_json(path)
        try:
            record = cls(**content)
            for one in record.decisions:
                Knobs(**one["knobs"]), float(one["pressure"]), tuple(one["reasons"])
            return record
        except (TypeError, KeyError, ValueError):
            raise UsageError(
                f"{path} holds no decisions: take a train_decisions.json, or set "
                "controller.decisions to null"
            ) from None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)
