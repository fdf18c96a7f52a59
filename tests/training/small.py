"""A fit of a second: forty images of four classes that are easy to tell apart."""

from pathlib import Path

import numpy as np
import torch

from lowtide.controller.knobs import Knobs
from lowtide.data.arrays import ImageArrays
from lowtide.data.batches import Batches
from lowtide.models.factory import Classifier, ModelSpec, build
from lowtide.params import TrainParams
from lowtide.training.checkpoint import Progress, peek_checkpoint
from lowtide.training.losses import label_loss
from lowtide.training.protocols import Hook, Steering
from lowtide.training.steady import Steady
from lowtide.training.work import Fit
from lowtide.training.world import ALONE, World

CPU = torch.device("cpu")
RECIPE = TrainParams(
    epochs=3, batch_size=8, learning_rate=0.05, schedule="cycle", momentum=0.9, weight_decay=1e-4,
    augment="shift", precision="fp32", label_smoothing=0.1,
)  # fmt: skip
NUM_STEPS = 5  # of an epoch


class StopAt(Hook):
    """Leaves before a step, counted from where this process began."""

    def __init__(self, step: int) -> None:
        self.left = step

    def before_step(self, step: float, num_steps: float) -> None:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1


class KillAfter(Hook):
    """As `kill -9` would: after a step, with no chance to write anything."""

    def __init__(self, step: int) -> None:
        self.left = step

    def after_step(self, step: float, num_steps: float, loss: float) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def arrays() -> ImageArrays:
    generator = np.random.default_rng(0)
    labels = np.arange(40) % 4
    images = generator.integers(0, 64, (40, 1, 8, 8)) + 60 * labels[:, None, None, None]
    return ImageArrays(images.astype(np.uint8), labels)


def model() -> Classifier:
    torch.manual_seed(0)
    made = build(ModelSpec("tidenet-xs", 1, (8, 8), 4, (120.0,), (60.0,)))
    return made.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def work(
    folder: Path,
    recipe: TrainParams = RECIPE,
    steering: Steering | None = None,
    world: World = ALONE,
) -> Fit:
    """What a process begins with: it goes on from the folder's checkpoint, if there is one."""
    checkpoint, share = folder / "train.safetensors", (world.rank, world.size)
    train = Batches(arrays(), 8, shuffle=True, seed=0, device=CPU, augment=recipe.augment,
                    drop_last=True, share=share)  # fmt: skip
    val = Batches(arrays(), 20, shuffle=False, seed=0, device=CPU, share=share)
    knobs = Knobs(8, "fp32", end=recipe.epochs)
    progress = peek_checkpoint(checkpoint, "mark") or Progress("run", "mark", knobs)
    return Fit(
        model(), label_loss(0.1), train, val, recipe, progress, checkpoint, CPU,
        steering or Steady(), world,
    )  # fmt: skip


def assert_same_weights(one: torch.nn.Module, other: torch.nn.Module) -> None:
    mine, theirs = one.state_dict(), other.state_dict()
    assert mine.keys() == theirs.keys()
    for name, tensor in mine.items():
        assert torch.equal(tensor, theirs[name]), name
