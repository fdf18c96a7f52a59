"""What every process of a fit has before its first step; followers have no more than that."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from lowtide import artifacts
from lowtide.controller.knobs import Knobs, Trying
from lowtide.data.arrays import load_split
from lowtide.data.batches import Batches
from lowtide.models.factory import Classifier
from lowtide.params import DistillParams, FitParams, Params
from lowtide.training.allocator import keep_freed_memory
from lowtide.training.checkpoint import Progress, peek_checkpoint
from lowtide.training.losses import LossFunction
from lowtide.training.protocols import Steering
from lowtide.training.recipe import choose_precision, pick_device
from lowtide.training.work import Fit
from lowtide.training.world import World


@dataclass(frozen=True)
class Start:
    """`step_ms`: of a training step by precision, where that was measured. `trying`: a batch size
    that this run of a recurring job takes.
    """

    model: Classifier
    recipe: FitParams
    world: World
    checkpoint: Path
    device: torch.device
    train: Batches
    val: Batches
    progress: Progress
    step_ms: dict[str, float]
    resumed: bool
    trying: Trying | None

    def fit(self, make_loss: "MakeLoss", steering: Steering) -> Fit:
        return Fit(
            self.model, make_loss(self), self.train, self.val,
            self.recipe, self.progress, self.checkpoint, self.device, steering, self.world,
        )  # fmt: skip


MakeLoss = Callable[[Start], LossFunction]


def begin(
    params: Params,
    recipe: FitParams,
    world: World,
    model: Classifier,
    checkpoint: Path,
    mark: str,
    run_id: str,
    trying: Trying | None = None,
) -> Start:
    """Move the model to the device; the process that leads says to all where the fit stands, and
    what it tries."""
    keep_freed_memory()
    torch.manual_seed(params.seed)
    device = pick_device()
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    image_scale = recipe.image_scale if isinstance(recipe, DistillParams) else 1.0
    train, val = _batches(recipe, params.seed, device, world)

    def look() -> tuple[Progress, dict[str, float], bool, Trying | None]:
        progress = peek_checkpoint(checkpoint, mark)
        if progress is not None:
            return progress, {}, True, trying
        batch = next(iter(train.epoch(0)))
        precision, step_ms = choose_precision(recipe.precision, model, batch.images, batch.labels)
        size = train.batch_size if trying is None else trying.batch_size
        knobs = Knobs(size, precision, gain=size / train.batch_size, end=recipe.epochs,
                      image_scale=image_scale)  # fmt: skip
        return Progress(run_id, mark, knobs), step_ms, False, trying

    return Start(model, recipe, world, checkpoint, device, train, val, *world.share(look))


def _batches(
    recipe: FitParams, seed: int, device: torch.device, world: World
) -> tuple[Batches, Batches]:
    views, in_pairs = None, False
    if isinstance(recipe, DistillParams):
        views, in_pairs = recipe.views, recipe.teacher_tta == "flip"
    train, share = load_split(artifacts.DATA, "train"), (world.rank, world.size)
    val = load_split(artifacts.DATA, "val")
    return (
        Batches(train, recipe.batch_size, shuffle=True, seed=seed, device=device,
                augment=recipe.augment, drop_last=True,
                num_views=views, in_pairs=in_pairs, share=share).resized(recipe.batch_size),
        Batches(val, 500, shuffle=False, seed=seed, device=device, share=share),
    )  # fmt: skip
