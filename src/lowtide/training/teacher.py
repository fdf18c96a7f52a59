"""A frozen teacher and its answers, asked each time or once for each view of an image."""

import numpy as np
import torch
from torch import Tensor, nn

from lowtide.controller.knobs import Precision
from lowtide.data.batches import Batch
from lowtide.errors import ModelError
from lowtide.training.features import LastFeatures
from lowtide.training.recipe import autocast


class Teacher:
    """An answer is a row of logits [K], and where features are wanted those behind: [K + D].

    With `flip` it is the mean over an image and its mirror image (test-time augmentation), so both
    have the same one: it holds for two views, where those come in mirrored pairs.
    """

    def __init__(
        self,
        model: nn.Module,
        precision: Precision,
        name: str,
        features: LastFeatures | None,
        *,
        flip: bool = False,
    ) -> None:
        self._model = model.eval().requires_grad_(False)
        self._precision, self._name, self._features = precision, name, features
        self._flip = flip

    @property
    def views_per_answer(self) -> int:
        return 2 if self._flip else 1

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 [B, C, H, W] -> float32 [B, K + D].

        Raises:
            ModelError: an answer is not finite.
        """
        answers = self._answers(images)
        if self._flip:
            answers = (answers + self._answers(images.flip(3))) / 2
        num_broken = int((~answers.isfinite()).any(dim=1).sum())
        if num_broken:
            raise ModelError(
                f"{self._name} answers NaN or inf for {num_broken} of {len(images)} images: train "
                "it again with a lower train.learning_rate"
            )
        return answers

    def _answers(self, images: Tensor) -> Tensor:
        with torch.no_grad(), autocast(images.device, self._precision):
            answers: Tensor = self._model(images).float()
        if self._features is None:
            return answers
        return torch.cat([answers, self._features.take(len(images))], dim=1)


class TeacherAnswers:
    """Answers [B, K + D] to a batch.

    With a table, float32 [views / views_per_answer, images, K + D] in which NaN is what has not
    been asked yet, they are kept there; whoever opens the same file next (a resumed fit,
    fine-tuning after pruning) goes on from there.
    """

    def __init__(self, teacher: Teacher, table: np.ndarray | None) -> None:
        self._teacher, self._table = teacher, table

    def __call__(self, batch: Batch) -> Tensor:
        if self._table is None:
            return self._teacher(batch.images)
        place = (batch.view // self._teacher.views_per_answer, batch.rows)
        known = self._table[place]
        missing = np.isnan(known).any(axis=1)
        if missing.any():
            asked = self._teacher(batch.images[torch.from_numpy(missing).to(batch.images.device)])
            known[missing] = asked.cpu().numpy()
            self._table[place] = known
        return torch.from_numpy(known).to(batch.images.device)
