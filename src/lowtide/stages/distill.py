"""A smaller student, taught by the teacher's logits."""

from typing import Any

import torch

from lowtide import artifacts
from lowtide.data.batches import load_card
from lowtide.models.factory import build
from lowtide.models.weights import save_model
from lowtide.params import Params
from lowtide.stages.context import StageContext
from lowtide.stages.fitting import (
    fingerprint,
    model_spec,
    resumable_run,
    run_fit,
    taught_by_teacher,
)
from lowtide.training.checkpoint import delete_checkpoints


def _mark(params: Params) -> str:
    return fingerprint(params.distill, params.model.student, params.seed,
                       artifacts.DATA / "card.json", artifacts.TEACHER)  # fmt: skip


def resumable(params: Params) -> str | None:
    if not artifacts.TEACHER.exists():
        return None
    return resumable_run(artifacts.CHECKPOINTS / "distill.safetensors", _mark(params))


def run(params: Params, context: StageContext) -> dict[str, Any]:
    spec = model_spec(params.model.student, load_card(artifacts.DATA))
    torch.manual_seed(params.seed)
    student = build(spec)
    make_loss = taught_by_teacher(params, params.distill)
    figures = run_fit(
        params, params.distill, context, student, make_loss, _mark(params),
        params.prune.epochs / params.distill.epochs,
    )  # fmt: skip
    save_model(artifacts.STUDENT, student, spec)
    delete_checkpoints(context.checkpoint)
    return figures
