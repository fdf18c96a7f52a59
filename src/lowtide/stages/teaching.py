"""What distill and prune share: the loss under the trained teacher."""

from dataclasses import asdict
from math import ceil
from typing import Any

import torch

from lowtide import artifacts
from lowtide.data.arrays import load_split
from lowtide.data.batches import Batches
from lowtide.data.card import load_card
from lowtide.models.weights import load_model
from lowtide.params import DistillParams, Params
from lowtide.stages.beginning import Start
from lowtide.stages.context import StageContext, fingerprint
from lowtide.training.features import LastFeatures, feature_loss
from lowtide.training.keeping import Demand, Keeping, demand
from lowtide.training.kept_answers import open_answers
from lowtide.training.losses import LossFunction, distillation_loss
from lowtide.training.teacher import Teacher, TeacherAnswers


class Teaching:
    """Makes the distillation loss of a fit, by logits or with features, under the trained teacher.

    later: the fit after this one, which reads the same answers if it can.
    """

    def __init__(
        self,
        params: Params,
        recipe: DistillParams,
        context: StageContext,
        later: DistillParams | None = None,
    ) -> None:
        self._params, self._recipe, self._context, self._later = params, recipe, context, later
        self._shape = load_card(artifacts.DATA).shape
        self._keeping: Keeping | None = None

    def __call__(self, start: Start) -> LossFunction:
        recipe = self._recipe
        model, spec = load_model(artifacts.TEACHER)
        model.to(start.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        features = LastFeatures(model, self._shape) if recipe.feature_weight else None
        precision = start.progress.knobs.precision
        flip = recipe.teacher_tta == "flip"
        teacher = Teacher(model, precision, str(artifacts.TEACHER), features, flip=flip)
        num_features = 0 if features is None else features.size
        answers = self._answers(teacher, spec.num_classes + num_features, start)
        if features is None:
            return distillation_loss(answers, recipe.temperature, recipe.soft_weight)
        student = LastFeatures(start.model, self._shape)
        seed = self._params.seed
        return feature_loss(answers, student, num_features, recipe, seed).to(start.device)

    def report(self) -> dict[str, Any]:
        """How the answers were had."""
        assert self._keeping is not None, "before the fit"
        return {"answers": asdict(self._keeping)}

    def _answers(self, teacher: Teacher, width: int, start: Start) -> TeacherAnswers:
        num_images = len(load_split(artifacts.DATA, "train").labels)
        needed = self._demand(num_images, start.train, teacher.views_per_answer)
        if self._recipe.views is None:
            self._keeping = Keeping(False, needed.num_needed, needed.num_needed, "views is null")
            return TeacherAnswers(teacher, None)
        path = artifacts.STATE / "answers" / f"{self._mark(self._recipe)}.npy"
        batch = next(iter(start.train.epoch(0)))
        shape = (ceil(self._recipe.views / teacher.views_per_answer), num_images, width)
        answers, self._keeping = open_answers(
            teacher, path, shape, needed, batch, self._context.window
        )
        self._context.say(str(self._keeping))
        return answers

    def _demand(self, num_images: int, train: Batches, views_per_answer: int) -> Demand:
        fits = [self._recipe, *(() if self._later is None else (self._later,))]
        mark = self._mark(self._recipe)
        epochs = [one.epochs for one in fits if self._mark(one) == mark]
        views = self._recipe.views or max(epochs)
        per_epoch = len(train) * train.batch_size
        return demand(epochs, views, num_images, per_epoch, views_per_answer)

    def _mark(self, recipe: DistillParams) -> str:
        """Of what is in a table: fits with the same one share it."""
        return fingerprint(
            artifacts.TEACHER, artifacts.DATA / "card.json", self._params.seed, recipe.augment,
            recipe.views, recipe.teacher_tta, recipe.precision, bool(recipe.feature_weight),
        )[:16]  # fmt: skip
