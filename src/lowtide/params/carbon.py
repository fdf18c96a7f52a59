"""Grid, clock and deadline."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lowtide.params.constraints import (
    Count,
    Latitude,
    Longitude,
    NonNegative,
    Positive,
    Section,
    Share,
    UtcInstant,
)

PublicName = Literal["gb", "electricity-maps", "watttime", "energy-charts"]
LiveName = Literal[PublicName, "carbon-aware-sdk"]


class WeatherParams(Section):
    """(latitude, longitude) in degrees of places whose weather moves the grid."""

    places: Annotated[tuple[tuple[Latitude, Longitude], ...], Field(min_length=1)]
    base_url: str | None


class CarbonParams(Section):
    zone: Annotated[str, Field(min_length=1)]
    source: Literal["auto", "trace", "typical", LiveName]
    second_source: PublicName | None
    base_url: str | None
    constant_g_per_kwh: Annotated[float, Field(ge=0, le=3000)] | None
    weather: WeatherParams | None
    trace: str | None
    replay_start: UtcInstant | None
    replay_speed: Positive
    pue: Annotated[float, Field(ge=1)]


class ScheduleParams(Section):
    deadline_hours: NonNegative
    levels: tuple[NonNegative, ...]
    throughput: tuple[NonNegative, ...] | None
    slot_minutes: Count
    resume_minutes: NonNegative
    idle_power: Share
    max_in_process_pause_minutes: NonNegative
    release_memory: bool  # of the GPU, in a pause of training

    def all_or_nothing(self) -> Self:
        """The same for work that runs at full power or not at all, as training does."""
        return self.model_copy(update={"levels": (0.0, 1.0), "throughput": None})

    @model_validator(mode="after")
    def _throughput_for_each_level(self) -> Self:
        if self.throughput is not None and len(self.throughput) != len(self.levels):
            raise ValueError(
                f"{len(self.throughput)} throughputs for {len(self.levels)} levels: give one each"
            )
        if not any(level > 0 for level in self.levels):
            raise ValueError("levels has nothing above 0: add 1.0, full power")
        return self
