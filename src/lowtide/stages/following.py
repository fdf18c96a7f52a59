"""A fit in a process that follows another one: it computes, and touches nothing outside."""

from pathlib import Path

from lowtide.models.factory import Classifier
from lowtide.params import FitParams, Params
from lowtide.stages.beginning import MakeLoss, begin
from lowtide.stages.controlling import following_controller
from lowtide.stages.fitting import fit_in_budget
from lowtide.training.leading import Follower
from lowtide.training.world import World


def follow_fit(
    params: Params,
    recipe: FitParams,
    world: World,
    model: Classifier,
    make_loss: MakeLoss,
    checkpoint: Path,
    mark: str,
) -> None:
    """Take the steps of the controlled fit that the process that leads runs.

    Raises:
        Deferred, UsageError: as the process that leads does.
    """
    start = begin(params, recipe, world, model, checkpoint, mark, run_id="")
    fit_in_budget(
        start.fit(make_loss, following_controller(params, start.trying)), [Follower(world)]
    )
