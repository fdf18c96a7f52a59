"""Everything that one fit works on."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from lowtide.controller.knobs import Knobs
from lowtide.data.batches import Batches
from lowtide.params import FitParams
from lowtide.training.average import WeightAverage
from lowtide.training.checkpoint import Progress, best, save_checkpoint, usable_checkpoint
from lowtide.training.losses import LossFunction
from lowtide.training.protocols import Steering
from lowtide.training.recipe import make_optimizer
from lowtide.training.world import ALONE, World

SAVE_EVERY_S = 600.0  # of the wall: a kill loses no more of a long epoch


@dataclass
class Fit:
    """`progress` says where it begins."""

    model: nn.Module
    loss: LossFunction
    train: Batches
    val: Batches
    recipe: FitParams
    progress: Progress
    checkpoint: Path
    device: torch.device
    steering: Steering
    world: World = ALONE
    average: WeightAverage = field(default_factory=WeightAverage)
    optimizer: torch.optim.SGD = field(init=False)
    _replica: nn.Module | None = None
    _saved_s: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.optimizer = make_optimizer(self.model, self.recipe, self.beside)

    @property
    def beside(self) -> nn.Module:
        """What the loss learns along with the model; checkpoints hold it, the saved model not."""
        return self.loss if isinstance(self.loss, nn.Module) else nn.Module()

    @property
    def knobs(self) -> Knobs:
        return self.progress.knobs

    @property
    def epochs_per_step(self) -> float:
        """Epochs of the base batch that a step of the present batch is worth."""
        return self.knobs.gain / len(self.train)

    @property
    def epoch(self) -> float:
        """Where the middle of the present step is, in epochs of the base batch."""
        return self.progress.position + (self.progress.step + 0.5) * self.epochs_per_step

    @property
    def best(self) -> Path:
        """Weights of the epoch with the highest validation accuracy, until the model is saved."""
        return best(self.checkpoint)

    @property
    def averages(self) -> bool:
        """Whether validation is of averaged weights: at full rate, where it may be left early."""
        return self.steering.lands and not self.knobs.landed

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B, K] of this process's images."""
        model = self.model if self._replica is None else self._replica
        return model(images)  # type: ignore[no-any-return]

    @contextmanager
    def replicated(self) -> Iterator[None]:
        """In the body gradients through `forward` are means over all processes.

        Anew for each epoch, since channels leave between two.
        """
        self._replica = self.world.replica(self.model)
        try:
            yield
        finally:
            self._replica = None

    def usable(self, path: Path, *, begins_epoch: bool = False) -> tuple[Path, Progress] | None:
        """The checkpoint that the process that leads can use: all load the same."""
        mark = self.progress.fingerprint
        return self.world.share(lambda: usable_checkpoint(path, mark, begins_epoch=begins_epoch))

    def held(self) -> list[Tensor]:
        """All that stays on the device from step to step."""
        momenta = [
            value
            for state in self.optimizer.state.values()
            for value in state.values()
            if isinstance(value, Tensor)
        ]
        weights = [*self.model.parameters(), *self.model.buffers(), *self.beside.parameters()]
        return [*weights, *momenta, *self.average.held, *self.steering.held()]

    def save(self, path: Path | None = None) -> None:
        if not self.world.leads:
            return
        extra = {f"average.{name}": value for name, value in self.average.tensors().items()}
        extra |= {f"steering.{name}": value for name, value in self.steering.tensors().items()}
        extra |= {f"beside.{name}": value for name, value in self.beside.state_dict().items()}
        save_checkpoint(path or self.checkpoint, self.progress, self.model, self.optimizer, extra)
        self._saved_s = time.monotonic()

    def save_if_due(self) -> None:
        """Between two steps, once the checkpoint is `SAVE_EVERY_S` old."""
        if time.monotonic() - self._saved_s >= SAVE_EVERY_S:
            self.save()
