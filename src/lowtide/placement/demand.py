"""What users ask for: requests per second in each hour of the day, UTC."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from lowtide.params import NonNegative

HOURS = 24


def _each_hour(value: Any) -> Any:
    """One number stands for every hour; whatever else is for pydantic to judge."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (value,) * HOURS
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value) != HOURS:
        raise ValueError(f"{len(value)} numbers: give one, or one for each of {HOURS} UTC hours")
    return value


HourlyRate = Annotated[
    tuple[NonNegative, ...],
    BeforeValidator(_each_hour),
    Field(min_length=HOURS, max_length=HOURS),
]
