"""A fit that was interrupted anywhere ends with the same weights as one that was not."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lowtide.data.batches import Batches, ImageArrays
from lowtide.errors import ModelError
from lowtide.models.factory import Classifier, ModelSpec, build
from lowtide.params import TrainParams
from lowtide.training.checkpoint import Progress, peek_checkpoint
from lowtide.training.fit import Fit, fit
from lowtide.training.losses import distillation_loss, label_loss

CPU = torch.device("cpu")
RECIPE = TrainParams(
    epochs=3, batch_size=8, learning_rate=0.05, momentum=0.9, weight_decay=1e-4,
    augment="shift", precision="fp32", label_smoothing=0.1,
)  # fmt: skip


class StopAt:
    def __init__(self, step: int) -> None:
        self.step = step

    def before_step(self, step: int, num_steps: int) -> None:
        if step == self.step:
            raise KeyboardInterrupt

    def after_step(self, step: int, num_steps: int, loss: float) -> None: ...

    def after_epoch(self, epoch: int, metrics: dict[str, float]) -> None: ...


def arrays() -> ImageArrays:
    generator = np.random.default_rng(0)
    labels = np.arange(40) % 4
    images = generator.integers(0, 64, (40, 1, 8, 8)) + 60 * labels[:, None, None, None]
    return ImageArrays(images.astype(np.uint8), labels)


def model() -> Classifier:
    torch.manual_seed(0)
    return build(ModelSpec("tidenet-xs", 1, (8, 8), 4, (120.0,), (60.0,)))


def work(folder: Path, recipe: TrainParams = RECIPE) -> Fit:
    checkpoint = folder / "train.safetensors"
    train = Batches(arrays(), 8, shuffle=True, seed=0, device=CPU, augment=recipe.augment)
    val = Batches(arrays(), 20, shuffle=False, seed=0, device=CPU)
    progress = peek_checkpoint(checkpoint, "mark") or Progress("run", "mark", "fp32")
    return Fit(model(), label_loss(0.1), train, val, recipe, "fp32", progress, checkpoint, CPU)


@pytest.mark.parametrize("step", [0, 3, 5, 12])
def test_interrupted_and_resumed_is_bit_identical(tmp_path: Path, step: int) -> None:
    whole = work(tmp_path / "whole")
    fit(whole, [])
    with pytest.raises(KeyboardInterrupt):
        fit(work(tmp_path / "parts"), [StopAt(step)])
    resumed = work(tmp_path / "parts")
    assert resumed.progress.epoch * 5 + resumed.progress.step == step
    history = fit(resumed, [])
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name]), name
    assert len(history) == 3
    assert history[-1]["val_accuracy"] > 0.5


def test_a_checkpoint_of_other_work_or_a_broken_one_is_not_used(tmp_path: Path) -> None:
    fit(work(tmp_path), [])
    checkpoint = tmp_path / "train.safetensors"
    assert peek_checkpoint(checkpoint, "mark") is not None
    assert peek_checkpoint(checkpoint, "other") is None
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    assert peek_checkpoint(checkpoint, "mark") is None


def test_a_diverging_loss_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    wild = RECIPE.model_copy(update={"learning_rate": 1e30, "epochs": 5})
    with pytest.raises(ModelError, match="lower the learning_rate"):
        fit(work(tmp_path, wild), [])


def test_the_distillation_loss_vanishes_when_the_student_is_the_teacher() -> None:
    teacher = model().eval()
    batch = next(iter(Batches(arrays(), 40, shuffle=False, seed=0, device=CPU).epoch(0)))
    loss = distillation_loss(lambda batch: teacher(batch.images), 4.0, 1.0)
    logits = teacher(batch.images)
    assert loss(batch, logits).item() == pytest.approx(0, abs=1e-6)
    assert loss(batch, logits.flip(1)).item() > 1e-3
