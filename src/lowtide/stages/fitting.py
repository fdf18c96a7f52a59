"""What train, distill and prune share: data, hooks and the report of a fit."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any

import torch

from lowtide import artifacts
from lowtide.data.batches import Batches, Card, load_card, load_split
from lowtide.models.cost import count_macs, count_parameters
from lowtide.models.factory import Classifier, ModelSpec
from lowtide.models.weights import load_model
from lowtide.params import DistillParams, FitParams, Params
from lowtide.planning.chart import plan_figure
from lowtide.planning.horizon import Decision
from lowtide.stages.context import StageContext, fingerprint
from lowtide.training.allocator import keep_freed_memory
from lowtide.training.checkpoint import Progress, peek_checkpoint
from lowtide.training.fit import Fit, fit
from lowtide.training.losses import LossFunction, distillation_loss
from lowtide.training.pacing import Pacer, Pause
from lowtide.training.progress import Progression
from lowtide.training.recipe import Precision, choose_precision, pick_device
from lowtide.training.teacher import TeacherAnswers

MakeLoss = Callable[[Precision], LossFunction]


def model_spec(factory: str, card: Card) -> ModelSpec:
    channels, height, width = card.shape
    return ModelSpec(factory, channels, (height, width), len(card.class_names), card.mean, card.std)


def run_fit(
    params: Params,
    recipe: FitParams,
    context: StageContext,
    model: Classifier,
    make_loss: MakeLoss,
    mark: str,
    later_work: float,
) -> dict[str, Any]:
    """Fit `model` in place, paced by the plan; returns what the report says of it.

    `later_work`: what the stages after this one still need, in units of this fit's work.
    """
    keep_freed_memory()
    torch.manual_seed(params.seed)
    device = pick_device()
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    train, val = _batches(recipe, params.seed, device)
    progress = peek_checkpoint(context.checkpoint, mark)
    resumed = progress is not None
    step_ms: dict[str, float] = {}
    if progress is None:
        batch = next(iter(train.epoch(0)))
        precision, step_ms = choose_precision(recipe.precision, model, batch.images, batch.labels)
        progress = Progress(context.run_id, mark, precision)
    pacer = _pacer(params, context, later_work)
    work = Fit(
        model, make_loss(progress.precision), train, val, recipe, progress.precision, progress,
        context.checkpoint, device,
    )  # fmt: skip
    with Progression(context.stage, context.window, context.run, recipe.epochs) as progression:
        history = fit(work, [pacer, progression])
    model.cpu()
    context.checkpoint.unlink(missing_ok=True)
    _log_curves(context, history)
    return _report(model, history, pacer, progress, step_ms, resumed, str(device))


def taught_by_teacher(params: Params, recipe: DistillParams) -> MakeLoss:
    """The distillation loss under the trained teacher, whose answers are kept between stages."""
    teacher, spec = load_model(artifacts.TEACHER)
    teacher.to(pick_device(), memory_format=torch.channels_last)  # type: ignore[call-overload]
    num_images = len(load_split(artifacts.DATA, "train").labels)

    def make(precision: Precision) -> LossFunction:
        mark = fingerprint(
            artifacts.TEACHER, artifacts.DATA / "card.json", params.seed, recipe.augment,
            recipe.views, precision,
        )  # fmt: skip
        answers = TeacherAnswers(
            teacher, precision, artifacts.STATE / "answers" / f"{mark[:16]}.npy",
            (num_images, spec.num_classes), recipe.views,
        )  # fmt: skip
        return distillation_loss(answers, recipe.temperature, recipe.soft_weight)

    return make


def _batches(recipe: FitParams, seed: int, device: torch.device) -> tuple[Batches, Batches]:
    train = load_split(artifacts.DATA, "train")
    val = load_split(artifacts.DATA, "val")
    return (
        Batches(train, min(recipe.batch_size, len(train.labels)), shuffle=True, seed=seed,
                device=device, augment=recipe.augment, drop_last=True,
                num_views=getattr(recipe, "views", None)),
        Batches(val, 500, shuffle=False, seed=seed, device=device),
    )  # fmt: skip


def _pacer(params: Params, context: StageContext, later_work: float) -> Pacer:
    def on_pause(pause: Pause, decision: Decision) -> None:
        print(f"{context.stage}: paused until {pause.end:%d %b %H:%M} UTC ({decision.reason})")
        if decision.plan is None:
            return
        path = artifacts.STATE / f"plan-{context.stage}.svg"
        with artifacts.atomic(path) as temporary:
            temporary.write_bytes(plan_figure(decision.plan))
        context.run.log_artifact(path, "plan")

    return Pacer(
        context.clock, context.source, params.schedule, context.session.deadline,
        context.window, later_work, on_pause,
    )  # fmt: skip


def _log_curves(context: StageContext, history: list[dict[str, float]]) -> None:
    """epoch, loss and accuracy as CSV for `dvc plots`."""
    lines = ["epoch,train_loss,val_accuracy"]
    lines += [
        f"{epoch},{row['train_loss']:.6f},{row['val_accuracy']:.6f}"
        for epoch, row in enumerate(history, start=1)
    ]
    path = artifacts.REPORTS / f"{context.stage}_curve.csv"
    artifacts.write_text(path, "\n".join(lines) + "\n")
    context.run.log_artifact(path)


def _report(
    model: Classifier,
    history: list[dict[str, float]],
    pacer: Pacer,
    progress: Progress,
    step_ms: dict[str, float],
    resumed: bool,
    device: str,
) -> dict[str, Any]:
    def text(instant: datetime) -> str:
        return instant.isoformat().replace("+00:00", "Z")

    card = load_card(artifacts.DATA)
    return {
        "accuracy": history[-1]["val_accuracy"],
        "accuracy_split": "val",
        "epochs": len(history),
        "precision": progress.precision,
        "step_ms": step_ms,
        "device": device,
        "num_threads": torch.get_num_threads(),
        "resumed": resumed,
        "num_parameters": count_parameters(model),
        "num_macs": count_macs(model, card.shape),
        "num_pauses": len(pacer.pauses),
        "pauses": [
            {**asdict(pause), "start": text(pause.start), "end": text(pause.end)}
            for pause in pacer.pauses
        ],
    }


def resumable_run(context_checkpoint: Any, mark: str) -> str | None:
    """The run id of the interrupted fit that this one goes on with."""
    progress = peek_checkpoint(context_checkpoint, mark)
    return progress.run_id if progress else None


__all__ = ["fingerprint", "model_spec", "resumable_run", "run_fit"]
