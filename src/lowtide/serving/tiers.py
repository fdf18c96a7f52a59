"""`carbon_tiers`: a smaller variant answers in dirty hours, if it is accurate enough."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from lowtide.params import NonNegative, Section, Share
from lowtide.serving.model import ServedModel

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
CHAMPION = "champion"  # the place of what answers in clean hours


class TierParams(Section):
    """A variant by file or by alias of the registry, and from which intensity on it answers.

    `accuracy` is of a file; an alias has its own recorded in the registry.
    """

    name: Name
    model: Path | None = None
    alias: Name | None = None
    accuracy: Share | None = None
    above_g_per_kwh: NonNegative

    @model_validator(mode="after")
    def _of_one_origin(self) -> "TierParams":
        if (self.model is None) == (self.alias is None):
            raise ValueError(f"tier {self.name} needs either model or alias")
        if (self.model is None) != (self.accuracy is None):
            raise ValueError(f"tier {self.name}: accuracy belongs to a model given as a file")
        if CHAMPION in (self.name, self.alias):
            raise ValueError(f"tier {self.name}: the champion is what tiers stand in for")
        return self


class Tiers(Section):
    accuracy_drop_max: Share
    champion_accuracy: Share | None = None  # where it is a file
    carbon_tiers: tuple[TierParams, ...]


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
        if here and not objection(models[tier.name], models[CHAMPION], accuracy_drop_max):
            return tier.name
    return CHAMPION


def objection(variant: ServedModel, champion: ServedModel, accuracy_drop_max: float) -> str | None:
    """Why it may not stand in: it takes other images, says other labels, or is less accurate than
    is allowed."""
    same: list[Any] = [
        (one.signature.image_shape, one.signature.pixel_type, one.labels)
        for one in (variant, champion)
    ]
    if same[0] != same[1]:
        return "it takes other images than the champion, or knows other labels"
    known = (champion.figures.accuracy, variant.figures.accuracy)
    if known[0] is None or known[1] is None:
        return (
            "its accuracy or the champion's is unknown: the registry has to tell it, or of a file "
            "the tiers file (`accuracy`, `champion_accuracy`)"
        )
    if known[0] - known[1] > accuracy_drop_max + 1e-9:
        return (
            f"its accuracy is {known[1]:g}, the champion's {known[0]:g}: accuracy_drop_max is "
            f"{accuracy_drop_max:g}"
        )
    return None
