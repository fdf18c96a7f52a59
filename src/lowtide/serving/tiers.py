"""`carbon_tiers`: a smaller variant answers in dirty hours, if it is accurate enough."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lowtide.errors import UsageError
from lowtide.serving.model import ServedModel

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
CHAMPION = "champion"  # the place of what answers in clean hours


class TierParams(BaseModel):
    """A variant by file or by alias of the registry, and from which intensity on it answers.

    `accuracy` is of a file; an alias has its own recorded in the registry.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    model: Path | None = None
    alias: Name | None = None
    accuracy: Annotated[float, Field(ge=0, le=1)] | None = None
    above_g_per_kwh: Annotated[float, Field(ge=0, allow_inf_nan=False)]

    @model_validator(mode="after")
    def _of_one_origin(self) -> "TierParams":
        if (self.model is None) == (self.alias is None):
            raise ValueError(f"tier {self.name} needs either model or alias")
        if (self.model is None) != (self.accuracy is None):
            raise ValueError(f"tier {self.name}: accuracy belongs to a model given as a file")
        if CHAMPION in (self.name, self.alias):
            raise ValueError(f"tier {self.name}: the champion is what tiers stand in for")
        return self


class Tiers(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    accuracy_drop_max: Annotated[float, Field(ge=0, le=1)]
    champion_accuracy: Annotated[float, Field(ge=0, le=1)] | None = None  # where it is a file
    carbon_tiers: tuple[TierParams, ...]


def load_tiers(path: Path) -> Tiers:
    """UsageError names the first thing that is wrong in the file."""
    try:
        return Tiers.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the top level"
        raise UsageError(f"{path}: {key}: {first['msg'].removeprefix('Value error, ')}") from None


def choose(
    models: Mapping[str, ServedModel],
    tiers: Sequence[TierParams],
    accuracy_drop_max: float,
    intensity_g_per_kwh: float | None,
) -> str:
    """The place in `models` that answers now: of the tiers whose hour it is the most frugal one.

    That is the one for the dirtiest hours. An unknown intensity or accuracy leaves the champion.
    """
    if intensity_g_per_kwh is None:
        return CHAMPION
    for tier in sorted(tiers, key=lambda one: one.above_g_per_kwh, reverse=True):
        here = intensity_g_per_kwh >= tier.above_g_per_kwh and tier.name in models
        if here and stands_in(models[tier.name], models[CHAMPION], accuracy_drop_max):
            return tier.name
    return CHAMPION


def stands_in(variant: ServedModel, champion: ServedModel, accuracy_drop_max: float) -> bool:
    """Same images in, same labels out, and as accurate as is allowed."""
    same: list[Any] = [
        (one.signature.image_shape, one.signature.pixel_type, one.labels)
        for one in (variant, champion)
    ]
    known = (champion.figures.accuracy, variant.figures.accuracy)
    if same[0] != same[1] or known[0] is None or known[1] is None:
        return False
    return known[0] - known[1] <= accuracy_drop_max + 1e-9
