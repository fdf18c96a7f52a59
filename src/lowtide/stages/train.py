"""The teacher, trained in clean hours."""

from pathlib import Path
from typing import Any

import torch

from lowtide import artifacts
from lowtide.data.card import load_card
from lowtide.errors import UsageError
from lowtide.models.factory import Classifier, ModelSpec, build
from lowtide.models.weights import save_model
from lowtide.params import Params
from lowtide.stages.beginning import MakeLoss
from lowtide.stages.context import StageContext, fingerprint
from lowtide.stages.feasible import require_feasible
from lowtide.stages.fitting import model_spec, resumable_run, run_fit
from lowtide.stages.following import follow_fit
from lowtide.training.checkpoint import delete_checkpoints
from lowtide.training.estimate import estimate_hours
from lowtide.training.losses import label_loss
from lowtide.training.world import World

CHECKPOINT = artifacts.CHECKPOINTS / "train.safetensors"


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
    return resumable_run(CHECKPOINT, _mark(params))


def run(params: Params, context: StageContext) -> dict[str, Any]:
    model, spec = _untrained(params)
    figures = run_fit(
        params, params.train, context, model, _make_loss(params),
        _mark(params), _later_work(params, context), controlled=True,
    )  # fmt: skip
    save_model(artifacts.TEACHER, model, spec)
    delete_checkpoints(context.checkpoint)
    return figures


def require_shares(params: Params, num_processes: int) -> None:
    """UsageError: some batch cannot be shared evenly."""
    sizes = [("train.batch_size", params.train.batch_size)]
    sizes += [("controller.batch_sizes", size) for size in params.controller.batch_sizes]
    for key, size in sizes:
        if size % num_processes:
            raise UsageError(
                f"{num_processes} processes cannot share a batch of {size} images evenly: make "
                f"{key} a multiple of {num_processes}"
            )


def follow(params: Params, world: World) -> None:
    """The same, in a process that follows the one that runs it."""
    model, _ = _untrained(params)
    follow_fit(params, params.train, world, model, _make_loss(params), CHECKPOINT, _mark(params))


def _untrained(params: Params) -> tuple[Classifier, ModelSpec]:
    """UsageError, ModelError: what distill and prune would refuse once this one is trained."""
    card = load_card(artifacts.DATA)
    spec = model_spec(params.model.teacher, card)
    torch.manual_seed(params.seed)
    teacher = build(spec)
    named = params.model.student
    student = teacher if named is None else build(model_spec(named, card))
    require_feasible(params, student, teacher, card.shape)
    return teacher, spec


def _make_loss(params: Params) -> MakeLoss:
    return lambda _start: label_loss(params.train.label_smoothing)


def _later_work(params: Params, context: StageContext) -> float:
    """What distill and prune will take, in units of this stage's work."""
    hours = estimate_hours(params, context.clock)
    return (hours["distill"] + hours["prune"]) / hours["train"]
