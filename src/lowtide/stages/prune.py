"""Channels leave the student; what is left is fine-tuned under the teacher."""

from dataclasses import asdict
from typing import Any

from lowtide import artifacts
from lowtide.compression.prune import prune_channels
from lowtide.models.weights import load_model, save_model
from lowtide.params import Params
from lowtide.stages.context import StageContext
from lowtide.stages.fitting import fingerprint, resumable_run, run_fit
from lowtide.stages.teaching import Teaching
from lowtide.training.checkpoint import delete_checkpoints


def _mark(params: Params) -> str:
    return fingerprint(params.prune, params.seed, artifacts.TEACHER, artifacts.STUDENT)


def resumable(params: Params) -> str | None:
    if not (artifacts.TEACHER.exists() and artifacts.STUDENT.exists()):
        return None
    return resumable_run(artifacts.CHECKPOINTS / "prune.safetensors", _mark(params))


def run(params: Params, context: StageContext) -> dict[str, Any]:
    recipe = params.prune
    model, spec = load_model(artifacts.STUDENT)
    result = prune_channels(
        model, (spec.in_channels, *spec.image_size),
        macs_fraction=recipe.macs_fraction, round_to=recipe.round_to,
    )  # fmt: skip
    teaching = Teaching(params, recipe, context)
    figures = run_fit(params, recipe, context, model, teaching, _mark(params), 0)
    save_model(artifacts.PRUNED, model, spec)
    delete_checkpoints(context.checkpoint)
    return {**figures, **teaching.report(), "pruning": asdict(result)}
