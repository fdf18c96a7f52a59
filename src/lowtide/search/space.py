"""What is searched: keys of params.yaml with their choices or ranges, checked before anything runs.

A sample is a value for each key; with it goes a patch of params.yaml, and the params it makes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from pydantic import ValidationError

from lowtide.errors import ParamsError
from lowtide.params import Choice, Params, RangeParams
from lowtide.search.architecture import KEYS, stretched

SECTIONS = {"student": ("distill",), "teacher": ("train",)}  # that a trial depends on

Spread = RangeParams | tuple[Choice, ...]
Sample = Mapping[str, Choice]
Patch = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Space:
    of: str
    spreads: Mapping[str, Spread]
    base: Params

    @classmethod
    def of_params(cls, params: Params) -> Self:
        """Checked: each end of each range, and each choice, makes valid params.

        Raises:
            ParamsError: names the key.
        """
        if getattr(params.model, params.search.of) is None:
            raise ParamsError(
                f"model.{params.search.of} is null: name the network that the search begins with"
            )
        space = cls(params.search.of, params.search.space, params)
        for key in space.spreads:
            space._require_known(key)
        space.distributions()
        for sample in space.corners():
            space.params(sample)
        return space

    def distributions(self) -> dict[str, BaseDistribution]:
        return {key: _distribution(key, spread) for key, spread in self.spreads.items()}

    def corners(self) -> Iterator[dict[str, Choice]]:
        """Each key at each choice or end of its range, while the others are at their first."""
        first = {key: _extremes(spread)[0] for key, spread in self.spreads.items()}
        for key, spread in self.spreads.items():
            for value in _extremes(spread):
                yield {**first, key: value}

    def patch(self, sample: Sample) -> Patch:
        """The sections of params.yaml that the sample changes, with their new values."""
        sections: Patch = {}
        for key, value in sample.items():
            section, name = key.split(".")
            sections.setdefault(section, {})[name] = value
        changes = sections.pop(self.of, {})
        if changes:
            models = sections.setdefault("model", {})
            models[self.of] = stretched(
                models.get(self.of, getattr(self.base.model, self.of)), changes
            )
        return sections

    def params(self, sample: Sample) -> Params:
        content = self.base.model_dump()
        for section, values in self.patch(sample).items():
            content[section] |= values
        try:
            return Params.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            raise ParamsError(
                f"search.space: {key} cannot be {first['input']!r}: {first['msg']}"
            ) from None

    def _require_known(self, key: str) -> None:
        section, _, name = key.partition(".")
        sections = SECTIONS[self.of]
        if section in sections and name in type(getattr(self.base, section)).model_fields:
            return
        if key == f"model.{self.of}" or (section == self.of and name in KEYS):
            return
        shapes = ", ".join(f"{self.of}.{one}" for one in KEYS)
        raise ParamsError(
            f"search.space: {key!r} does not change a {self.of}: take model.{self.of}, {shapes}, "
            f"or a key of {' or '.join(sections)}"
        )


def _extremes(spread: Spread) -> tuple[Choice, ...]:
    """Of a range of fractions one in between, too: not every key takes them."""
    if not isinstance(spread, RangeParams):
        return spread
    if isinstance(spread.low, int) and isinstance(spread.high, int):
        return (spread.low, spread.high)
    between = spread.low + (spread.high - spread.low) / 3 if spread.step is None else spread.low
    return (spread.low, between, spread.high)


def _distribution(key: str, spread: Spread) -> BaseDistribution:
    try:
        if not isinstance(spread, RangeParams):
            return CategoricalDistribution(spread)
        _require_steps(spread)
        if isinstance(spread.low, int) and isinstance(spread.high, int):
            return IntDistribution(spread.low, spread.high, spread.log, int(spread.step or 1))
        return FloatDistribution(spread.low, spread.high, spread.log, spread.step)
    except ValueError as error:
        raise ParamsError(f"search.space.{key}: {error}") from None


def _require_steps(spread: RangeParams) -> None:
    if spread.step is None:
        return
    steps = (spread.high - spread.low) / spread.step
    whole = isinstance(spread.low, int) and isinstance(spread.high, int)
    if abs(steps - round(steps)) > 1e-9 or (whole and spread.step != int(spread.step)):
        raise ValueError(f"from {spread.low} to {spread.high} there are no whole steps of "
                         f"{spread.step}")  # fmt: skip
