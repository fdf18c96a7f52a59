"""Networks of the family that are wider, deeper or coarser than the one that a name says."""

from collections.abc import Mapping
from dataclasses import replace

from lowtide.errors import ParamsError
from lowtide.models.family import Stage, TideNetConfig, config_of

KEYS = ("stem", "patch", "width", "depth")
WIDTHS_MULTIPLE = 8  # channels of a stage are rounded to it


def stretched(name: str, changes: Mapping[str, int]) -> str:
    """The name of the network that `name` becomes.

    `stem`, `patch`: as they are. `width`: channels of the first stage, the others in proportion.
    `depth`: residual blocks of each stage that has some.

    Raises:
        ParamsError: the network is not of the family, or has no residual blocks to change.
    """
    config = config_of(name)
    if config is None:
        raise ParamsError(
            f"only TideNets can be stretched, {name} is none: take tidenet-... as the model, or "
            f"leave {', '.join(changes)} out of search.space"
        )
    if changes.get("depth") is not None and not any(stage.blocks for stage in config.stages):
        raise ParamsError(
            f"{name} has no residual blocks (has --apply changed the model?): leave depth out of "
            "search.space, or name a network that has some"
        )
    if "width" in changes:
        config = _widened(config, changes["width"])
    if "depth" in changes:
        blocks = changes["depth"]
        stages = [replace(s, blocks=blocks) if s.blocks else s for s in config.stages]
        config = replace(config, stages=tuple(stages))
    stem, patch = changes.get("stem", config.stem), changes.get("patch", config.patch)
    return replace(config, stem=stem, patch=patch).name


def _widened(config: TideNetConfig, width: int) -> TideNetConfig:
    def scaled(stage: Stage) -> Stage:
        multiples = round(stage.width * width / config.stages[0].width / WIDTHS_MULTIPLE)
        return replace(stage, width=WIDTHS_MULTIPLE * max(multiples, 1))

    first, *others = config.stages
    stages = (replace(first, width=width), *(scaled(stage) for stage in others))
    return replace(config, stages=stages)
