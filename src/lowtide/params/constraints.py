"""What figures and sections of params.yaml have to hold."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Scale = Annotated[float, Field(gt=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Latitude = Annotated[float, Field(ge=-90, le=90)]
Longitude = Annotated[float, Field(ge=-180, le=180)]
Count = Annotated[int, Field(ge=1)]


def _as_utc(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        raise ValueError("needs a time zone, for example 2022-04-14T03:00:00Z")
    return instant.astimezone(UTC)


UtcInstant = Annotated[datetime, AfterValidator(_as_utc)]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
