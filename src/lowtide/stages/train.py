"""The teacher, trained in clean hours."""

from pathlib import Path
from typing import Any

import torch

from lowtide import artifacts
from lowtide.data.batches import load_card
from lowtide.models.factory import build
from lowtide.models.weights import save_model
from lowtide.params import Params
from lowtide.stages.context import StageContext
from lowtide.stages.fitting import fingerprint, model_spec, resumable_run, run_fit
from lowtide.training.checkpoint import delete_checkpoints
from lowtide.training.estimate import estimate_hours
from lowtide.training.losses import label_loss


def _mark(params: Params) -> str:
    budgets = params.budgets
    return fingerprint(
        params.train, params.controller, *_recorded(params), params.objective,
        budgets.training_energy_kwh_max, budgets.training_emissions_g_max, params.model.teacher,
        params.seed, artifacts.DATA / "card.json",
    )  # fmt: skip


def _recorded(params: Params) -> list[Path]:
    """The file whose decisions are repeated, by its content."""
    path = params.controller.decisions
    return [path] if path is not None and path.exists() else []


def resumable(params: Params) -> str | None:
    if not (artifacts.DATA / "card.json").exists():
        return None
    return resumable_run(artifacts.CHECKPOINTS / "train.safetensors", _mark(params))


def run(params: Params, context: StageContext) -> dict[str, Any]:
    spec = model_spec(params.model.teacher, load_card(artifacts.DATA))
    torch.manual_seed(params.seed)
    model = build(spec)
    figures = run_fit(
        params, params.train, context, model,
        lambda _precision: label_loss(params.train.label_smoothing),
        _mark(params), _later_work(params, context), controlled=True,
    )  # fmt: skip
    save_model(artifacts.TEACHER, model, spec)
    delete_checkpoints(context.checkpoint)
    return figures


def _later_work(params: Params, context: StageContext) -> float:
    """What distill and prune will take, in units of this stage's work."""
    hours = estimate_hours(params, context.clock)
    return (hours["distill"] + hours["prune"]) / hours["train"]
