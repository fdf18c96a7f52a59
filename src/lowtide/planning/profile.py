"""What a job can run at: levels with the throughput and power that were measured for each."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from lowtide.errors import UsageError
from lowtide.params import ScheduleParams


@dataclass(frozen=True)
class Level:
    """`throughput` in work per hour and `power` in kW, both relative to full power (1, 1)."""

    level: float
    throughput: float
    power: float

    def __post_init__(self) -> None:
        if self.throughput <= 0 or self.power <= 0:
            raise ValueError(f"level {self.level}: throughput and power must be positive")


@dataclass(frozen=True)
class Slot:
    """A stretch of time that is worked in at a level."""

    start: datetime
    end: datetime
    level: float


FULL = Level(1.0, 1.0, 1.0)


@dataclass(frozen=True)
class WorkProfile:
    """How work goes: its levels, what a resume costs, what parking draws.

    `resume_hours` is full-power work that is lost at each resume: checkpoint, restore, warm-up.
    `idle_power` is drawn, relative to full power, while begun work is parked.
    """

    levels: tuple[Level, ...] = (FULL,)
    resume_hours: float = 0.0
    idle_power: float = 0.0

    def __post_init__(self) -> None:
        if not self.levels:
            raise ValueError("a work profile needs at least one level to run at")

    @classmethod
    def of(cls, schedule: ScheduleParams, max_level: float | None = None) -> Self:
        """From the schedule section; levels above `max_level` are left out."""
        throughput = schedule.throughput or schedule.levels
        levels = tuple(
            Level(level, done, level)
            for level, done in zip(schedule.levels, throughput, strict=True)
            if level > 0 and done > 0 and (max_level is None or level <= max_level + 1e-9)
        )
        if not levels:
            lowest = min(level for level in schedule.levels if level > 0)
            raise UsageError(
                f"no level up to {max_level}: the lowest of schedule.levels is {lowest}"
            )
        return cls(levels, schedule.resume_minutes / 60, schedule.idle_power)

    @property
    def fastest(self) -> float:
        """The highest throughput: it decides the latest safe start."""
        return max(level.throughput for level in self.levels)

    @property
    def has_full(self) -> bool:
        return any(level.power == level.throughput == 1.0 for level in self.levels)

    @property
    def full(self) -> Level:
        """The level that full power means: throughput and power nearest to 1."""
        return min(self.levels, key=lambda level: abs(level.power - 1.0))
