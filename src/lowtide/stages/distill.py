"""A smaller student, or the teacher itself anew, taught by the teacher."""

from typing import Any

import torch

from lowtide import artifacts
from lowtide.data.card import load_card
from lowtide.models.factory import Classifier, ModelSpec, build
from lowtide.models.weights import load_model, save_model
from lowtide.params import Params
from lowtide.stages.adapting import Technique
from lowtide.stages.context import StageContext, fingerprint
from lowtide.stages.feasible import require_feasible
from lowtide.stages.fitting import model_spec, resumable_run, run_fit
from lowtide.stages.teaching import Teaching
from lowtide.training.checkpoint import delete_checkpoints


def _mark(params: Params) -> str:
    return fingerprint(params.distill, params.model.student, params.seed,
                       artifacts.DATA / "card.json", artifacts.TEACHER)  # fmt: skip


def resumable(params: Params) -> str | None:
    if not artifacts.TEACHER.exists():
        return None
    return resumable_run(artifacts.CHECKPOINTS / "distill.safetensors", _mark(params))


def run(params: Params, context: StageContext) -> dict[str, Any]:
    teacher = load_model(artifacts.TEACHER)
    student = _student(params, teacher[1])
    technique = Technique(params, context, teacher, teacher)
    # The teacher itself cannot promise fewer joules: it may become more accurate.
    asked = None if params.model.student is None else student
    if resumable(params) is None and not technique.enters(asked):
        save_model(artifacts.STUDENT, *teacher)
        return {**technique.left_out(), "student": "teacher"}
    figures = _distilled(params, context, student)
    if not technique.stays(student):
        student, figures = teacher, {**figures, **technique.unchanged(), "student": "teacher"}
    save_model(artifacts.STUDENT, *student)
    delete_checkpoints(context.checkpoint)
    return {**figures, **technique.report()}


def _distilled(
    params: Params, context: StageContext, student: tuple[Classifier, ModelSpec]
) -> dict[str, Any]:
    """In place; the checkpoints stay until the student is saved."""
    model, _ = student
    teaching = Teaching(params, params.distill, context, params.prune)
    figures = run_fit(
        params, params.distill, context, model, teaching, _mark(params),
        params.prune.epochs / params.distill.epochs,
    )  # fmt: skip
    return {**figures, **teaching.report(), "student": params.model.student or "teacher"}


def _student(params: Params, of_teacher: ModelSpec) -> tuple[Classifier, ModelSpec]:
    """Untrained; where none is named the teacher once more, with its weights.

    Raises:
        UsageError: it takes more multiply-adds than its teacher before channels left that.
        ModelError: `prune` cannot cut it as far as it is asked for.
    """
    card = load_card(artifacts.DATA)
    if params.model.student is None:
        again, spec = load_model(artifacts.TEACHER)
        require_feasible(params, again, again, card.shape)
        return again, spec
    own = model_spec(params.model.student, card)
    torch.manual_seed(params.seed)
    student = build(own)
    require_feasible(params, student, build(of_teacher), card.shape)
    return student, own
