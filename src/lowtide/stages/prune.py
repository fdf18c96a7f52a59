"""Channels leave the student in one or several cuts; what is left is fine-tuned by the teacher."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from lowtide import artifacts
from lowtide.compression.eligible import eligible_groups, require_reachable
from lowtide.compression.importance import Lessons
from lowtide.compression.prune import prune_channels
from lowtide.compression.ranking import rank_channels
from lowtide.compression.rounding import Rounding, measure_rounding
from lowtide.data.arrays import ImageArrays, load_split
from lowtide.data.batches import Batches
from lowtide.models.factory import Classifier, ModelSpec
from lowtide.models.weights import load_model, save_model
from lowtide.params import Params
from lowtide.stages import rounds
from lowtide.stages.adapting import Technique
from lowtide.stages.context import StageContext, fingerprint
from lowtide.stages.fitting import run_fit
from lowtide.stages.rounds import Standing, epochs_of, target_of
from lowtide.stages.teaching import Teaching
from lowtide.training.checkpoint import delete_checkpoints, peek_checkpoint
from lowtide.training.losses import distillation_loss
from lowtide.training.recipe import pick_device
from lowtide.training.teacher import Teacher, TeacherAnswers


def _mark(params: Params) -> str:
    return fingerprint(params.prune, params.seed, artifacts.TEACHER, artifacts.STUDENT)


def resumable(params: Params) -> str | None:
    if not (artifacts.TEACHER.exists() and artifacts.STUDENT.exists()):
        return None
    standing = rounds.find_standing(_mark(params))
    return None if standing is None else standing.run_id


def run(params: Params, context: StageContext) -> dict[str, Any]:
    before, left = load_model(artifacts.STUDENT), rounds.load_standing(_mark(params))
    technique = Technique(params, context, load_model(artifacts.TEACHER), before)
    if left is None and not technique.enters():
        save_model(artifacts.PRUNED, *before)
        return technique.left_out()
    pruned, figures = _pruned(params, context, left)
    if not technique.stays(pruned):
        figures["undone"] = figures.pop("pruning")
        pruned, figures = before, {**figures, **technique.unchanged()}
    save_model(artifacts.PRUNED, *pruned)
    delete_checkpoints(context.checkpoint)
    rounds.PATH.unlink(missing_ok=True)
    return {**figures, **technique.report()}


def _pruned(
    params: Params, context: StageContext, left: tuple[Standing, Classifier, ModelSpec] | None
) -> tuple[tuple[Classifier, ModelSpec], dict[str, Any]]:
    """The network and its report; `left`: where a killed run stands. Checkpoints stay."""
    standing, model, spec = left or (
        Standing(context.run_id, _mark(params)), *load_model(artifacts.STUDENT)
    )  # fmt: skip
    for index in _rounds_left(params, standing):
        if index == len(standing.cuts):
            standing.cuts.append(_cut(params, model, spec, standing))
            standing.save(model, spec)
            delete_checkpoints(context.checkpoint)
        _fine_tune(params, context, model, standing)
    return (model, spec), rounds.report(standing)


def _rounds_left(params: Params, standing: Standing) -> Iterator[int]:
    """None behind one that has used up a budget."""
    for index in range(len(standing.fits), params.prune.rounds):
        yield index
        if standing.fits[-1]["over_budget"]:
            return


def _cut(params: Params, model: Classifier, spec: ModelSpec, standing: Standing) -> dict[str, Any]:
    recipe, shape = params.prune, (spec.in_channels, *spec.image_size)
    model.to(pick_device())
    rounding = _rounding(params, standing)
    eligible = eligible_groups(model, shape, rounding.multiple)
    if not standing.cuts:
        require_reachable(eligible, recipe.macs_fraction, rounding.multiple)
    ranking = rank_channels(
        model, shape, eligible, recipe.importance, _lessons(params), _unseen(params)
    )
    whole = standing.cuts[0]["macs_before"] if standing.cuts else eligible.macs
    target = target_of(recipe, len(standing.cuts)) * whole
    return asdict(prune_channels(model, shape, eligible, ranking, rounding, target))


def _rounding(params: Params, standing: Standing) -> Rounding:
    if standing.cuts:  # measured once
        return Rounding(**standing.cuts[0]["round_to"])
    if params.prune.round_to == "auto":
        return measure_rounding(params.evaluate.provider)
    return Rounding(params.prune.round_to, None)


def _lessons(params: Params) -> Lessons:
    """The teacher is asked anew for these few images: what it has answered is kept by precision."""
    recipe = params.prune
    train = Batches(
        load_split(artifacts.DATA, "train"), recipe.batch_size, shuffle=True, seed=params.seed,
        device=pick_device(), augment=recipe.augment, drop_last=True,
    ).resized(recipe.batch_size)  # fmt: skip
    teacher = Teacher(
        load_model(artifacts.TEACHER)[0].to(pick_device()), "fp32", str(artifacts.TEACHER), None
    )
    loss = distillation_loss(TeacherAnswers(teacher, None), recipe.temperature, recipe.soft_weight)
    return Lessons(train, loss, recipe.importance_batches)


def _unseen(params: Params) -> Batches | None:
    num = params.prune.sensitivity_images
    if num is None:
        return None
    val = load_split(artifacts.DATA, "val")
    return Batches(
        ImageArrays(val.images[:num], val.labels[:num]), 500, shuffle=False, seed=params.seed,
        device=pick_device(),
    )  # fmt: skip


def _fine_tune(
    params: Params, context: StageContext, model: Classifier, standing: Standing
) -> None:
    """Of the latest cut; what it brings is added to the standing."""
    index = len(standing.fits)
    epochs = epochs_of(params.prune, index)
    recipe = params.prune.model_copy(update={"epochs": epochs})
    mark = fingerprint(standing.mark, index)
    left = sum(epochs_of(params.prune, i) for i in range(index + 1, recipe.rounds))
    later = params.prune.model_copy(update={"epochs": left}) if left else None
    teaching = Teaching(params, recipe, context, later)
    figures = run_fit(
        params, recipe, context, model, teaching, mark, left / epochs, earlier=standing.history
    )
    progress = peek_checkpoint(context.checkpoint, mark)
    assert progress is not None  # it stays until it is deleted here
    standing.history += progress.history
    standing.fits.append({**figures, **teaching.report()})
