"""What train, distill and prune share: data, hooks and the report of a fit."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch

from lowtide import artifacts
from lowtide.data.card import Card, load_card
from lowtide.energy.budget import Budget, BudgetWatch
from lowtide.errors import UsageError
from lowtide.models.cost import count_macs, count_parameters
from lowtide.models.factory import Classifier, ModelSpec
from lowtide.params import FitParams, Params
from lowtide.planning.chart import plan_figure
from lowtide.planning.horizon import Decision
from lowtide.stages.beginning import MakeLoss, Start, begin
from lowtide.stages.context import StageContext
from lowtide.stages.controlling import (
    log_decisions,
    make_controller,
    make_weights,
    training_budget,
)
from lowtide.stages.powering import power_levels
from lowtide.stages.recurring import recurrence
from lowtide.training.aside import set_aside
from lowtide.training.checkpoint import peek_checkpoint
from lowtide.training.fit import BudgetSpent, fit
from lowtide.training.leading import led
from lowtide.training.limits import BudgetGuard, Leaving
from lowtide.training.pacing import Pacer, Pause
from lowtide.training.power_levels import PowerLevels
from lowtide.training.progress import ObjectiveCurves, Progression
from lowtide.training.protocols import Hook
from lowtide.training.steady import Steady
from lowtide.training.steering import Controller
from lowtide.training.work import Fit


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
    *,
    controlled: bool = False,
    earlier: Sequence[dict[str, float]] = (),
) -> dict[str, Any]:
    """Fit `model` in place, paced by the plan; returns what the report says of it.

    The checkpoints stay until the caller has saved the model: `delete_checkpoints`.

    `later_work`: what the stages after this one still need, in units of this fit's work.
    `controlled`: the controller section holds.
    `earlier`: rows of the epochs that the stage has had before this fit.

    Raises:
        UsageError: the training budget does not last for one epoch.
    """
    world = context.world
    again = recurrence(params, context) if controlled else None
    trying = None if again is None else again.trying
    start = begin(params, recipe, world, model, context.checkpoint, mark, context.run_id, trying)
    budget = training_budget(params, context)
    steering = make_controller(params, context, budget, trying) if controlled else Steady()
    leaving = Leaving(context.clock)
    work = start.fit(make_loss, steering)
    num_limits, eta = params.controller.power_limits if controlled else 0, params.controller.eta
    known = None if again is None else again.power_profile
    with (
        power_levels(num_limits, context, known, eta) as levels,
        Progression(
            context.stage, context.window, context.run, recipe.epochs, len(earlier)
        ) as progression,
        leaving.listening(),
    ):
        paced = replace(context, clock=leaving.clock)
        pacer = make_pacer(params, paced, work, later_work, partial(_show_pause, paced), levels)
        hooks = [leaving, pacer, progression, *_accounts(params, context, budget, len(earlier))]
        fit_in_budget(work, led(hooks if levels is None else [levels, *hooks], world))
    model.cpu()
    log_curves(context, [*earlier, *work.progress.history])
    report = _report(work, pacer, start)
    if isinstance(steering, Controller):
        report |= log_decisions(steering, context)
    if again is not None:
        report["recurring"] = again.record(work, context, levels)
    return report


def _accounts(
    params: Params, context: StageContext, budget: Budget, num_earlier: int
) -> list[Hook]:
    """What the objective comes to, epoch by epoch, and the end where the budget is spent."""
    return [
        ObjectiveCurves(make_weights(params), budget, context.window, context.run, num_earlier),
        BudgetGuard(BudgetWatch(budget, context.say), context.window.totals),
    ]


def fit_in_budget(work: Fit, hooks: Sequence[Hook]) -> None:
    """UsageError: the training budget does not last for one epoch."""
    try:
        fit(work, hooks)
    except BudgetSpent:
        raise UsageError(
            "the budget for training does not last for one epoch of it: raise "
            "budgets.training_emissions_g_max and budgets.training_energy_kwh_max, or take fewer "
            "images or a smaller model"
        ) from None


def _show_pause(context: StageContext, pause: Pause, decision: Decision) -> None:
    print(f"{context.stage}: paused until {pause.end:%d %b %H:%M} UTC ({decision.reason})")
    if decision.plan is None:
        return
    path = artifacts.STATE / f"plan-{context.stage}.svg"
    with artifacts.atomic(path) as temporary:
        temporary.write_bytes(plan_figure(decision.plan))
    context.run.log_artifact(path, "plan")


def make_pacer(
    params: Params,
    context: StageContext,
    work: Fit,
    later_work: float,
    on_pause: Callable[[Pause, Decision], None],
    levels: PowerLevels | None = None,
) -> Pacer:
    return Pacer(
        context.clock, context.source, params.schedule, context.session.deadline,
        context.window, later_work, on_pause, levels,
        partial(set_aside, work, release_memory=params.schedule.release_memory),
    )  # fmt: skip


def log_curves(context: StageContext, history: list[dict[str, float]]) -> None:
    """epoch, loss and accuracy as CSV for `dvc plots`."""
    lines = ["epoch,train_loss,val_accuracy"]
    lines += [
        f"{epoch},{row['train_loss']:.6f},{row['val_accuracy']:.6f}"
        for epoch, row in enumerate(history, start=1)
    ]
    path = artifacts.REPORTS / f"{context.stage}_curve.csv"
    artifacts.write_text(path, "\n".join(lines) + "\n")
    context.run.log_artifact(path)


def _report(work: Fit, pacer: Pacer, start: Start) -> dict[str, Any]:
    def text(instant: datetime) -> str:
        return instant.isoformat().replace("+00:00", "Z")

    card, progress = load_card(artifacts.DATA), work.progress
    last = progress.history[-1]["val_accuracy"]
    return {
        "accuracy": progress.best_accuracy if progress.over_budget else last,
        "accuracy_split": "val",
        "epochs": len(progress.history),
        "over_budget": progress.over_budget,
        "restores": progress.restores,
        "precision": progress.knobs.precision,
        "step_ms": start.step_ms,
        "device": str(work.device),
        "num_processes": work.world.size,
        "num_nodes": work.world.num_nodes,
        "num_threads": torch.get_num_threads(),
        "resumed": start.resumed,
        "num_parameters": count_parameters(work.model),
        "num_macs": count_macs(work.model, card.shape),
        "num_pauses": len(pacer.pauses),
        "pauses": [
            {**asdict(pause), "start": text(pause.start), "end": text(pause.end)}
            for pause in pacer.pauses
        ],
    }


def resumable_run(checkpoint: Path, mark: str) -> str | None:
    """The run id of the interrupted fit that this one goes on with."""
    progress = peek_checkpoint(checkpoint, mark)
    return progress.run_id if progress else None
