"""What `lowtide search` tries."""

from typing import Annotated, Literal

from pydantic import Field

from lowtide.params.constraints import Count, Positive, Section

Choice = bool | int | float | str


class RangeParams(Section):
    """From `low` to `high`, both included; whole numbers where both are. `log`: evenly spread over
    orders of magnitude."""

    low: int | float
    high: int | float
    step: Positive | None = None
    log: bool = False


class SearchParams(Section):
    study: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]  # by which workers find each other
    of: Literal["student", "teacher"]
    space: Annotated[dict[str, RangeParams | tuple[Choice, ...]], Field(min_length=1)]
    storage: str | None  # None: SQLite in the checkout, for one process
    rungs: Count
    reduction: Annotated[int, Field(ge=2)]  # of the trials at a rung one in so many goes on
    num_repeats: Annotated[int, Field(ge=2)]  # turns of a probe
