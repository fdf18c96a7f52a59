"""Which power limit a GPU should train at, from what each was measured to draw and to deliver."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Self


@dataclass(frozen=True)
class PowerPoint:
    """Measured at one power limit: mean watts, and samples (or steps, or epochs) a second."""

    limit_w: float
    power_w: float
    throughput: float


@dataclass(frozen=True)
class PowerProfile:
    """What a run has measured: on which GPUs, by UUID, at which limits, the highest first. A limit
    at which nothing could be measured has no point."""

    gpus: tuple[str, ...]
    limits_w: tuple[float, ...]
    points: tuple[PowerPoint, ...]

    @classmethod
    def of(cls, text: str) -> Self:
        """From `as_json`."""
        content = json.loads(text)
        points = tuple(PowerPoint(**point) for point in content["points"])
        return cls(tuple(content["gpus"]), tuple(content["limits_w"]), points)

    def as_json(self) -> str:
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Tradeoff:
    """Energy against time, as one number in joules.

    C = eta * E + (1 - eta) * P_max * t, after Zeus (You, Chung, Chowdhury, NSDI 2023, eq. 2): time
    costs what the GPU could have drawn meanwhile. `eta` 1 counts energy alone, 0 time alone.
    """

    eta: float
    max_power_w: float

    def __post_init__(self) -> None:
        if not 0 <= self.eta <= 1:
            raise ValueError(f"eta lies between 0 and 1, not at {self.eta}")

    def cost_j(self, energy_j: float, duration_s: float) -> float:
        return self.eta * energy_j + (1 - self.eta) * self.max_power_w * duration_s


def choose_power(points: Sequence[PowerPoint], tradeoff: Tradeoff) -> PowerPoint:
    """The point of least cost per sample; of equals the one with the lower limit.

    The limit changes how long a sample takes and what it draws, not how many are needed: so it can
    be chosen within the first run, apart from everything else.
    """
    return min(points, key=lambda point: (cost_per_sample_j(point, tradeoff), point.limit_w))


def cost_per_sample_j(point: PowerPoint, tradeoff: Tradeoff) -> float:
    return tradeoff.cost_j(point.power_w / point.throughput, 1 / point.throughput)
