"""A smaller student, taught by the teacher's logits."""

from typing import Any

import torch

from lowtide import artifacts
from lowtide.data.batches import load_card
from lowtide.models.factory import build
from lowtide.models.weights import load_model, save_model
from lowtide.params import Params
from lowtide.stages.context import StageContext
from lowtide.stages.fitting import fingerprint, model_spec, resumable_run, run_fit
from lowtide.training.losses import distillation_loss
from lowtide.training.recipe import pick_device


def _mark(params: Params) -> str:
    return fingerprint(params.distill, params.model.student, params.seed,
                       artifacts.DATA / "card.json", artifacts.TEACHER)  # fmt: skip


def resumable(params: Params) -> str | None:
    if not artifacts.TEACHER.exists():
        return None
    return resumable_run(artifacts.CHECKPOINTS / "distill.safetensors", _mark(params))


def run(params: Params, context: StageContext) -> dict[str, Any]:
    spec = model_spec(params.model.student, load_card(artifacts.DATA))
    teacher, _ = load_model(artifacts.TEACHER)
    teacher.to(pick_device(), memory_format=torch.channels_last)  # type: ignore[call-overload]
    torch.manual_seed(params.seed)
    student = build(spec)
    recipe = params.distill
    figures = run_fit(
        params, recipe, context, student,
        lambda precision: distillation_loss(
            teacher, recipe.temperature, recipe.soft_weight, precision
        ),
        _mark(params), params.prune.epochs,
    )  # fmt: skip
    save_model(artifacts.STUDENT, student, spec)
    return figures
