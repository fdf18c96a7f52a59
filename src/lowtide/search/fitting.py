"""The fit of a trial: that of the stage `distill` or `train`, paced by the plan as they are.

One that was interrupted goes on from its checkpoint, if this checkout has it.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from lowtide import artifacts
from lowtide.data.card import load_card
from lowtide.energy.budget import Budget
from lowtide.models.factory import Classifier, ModelSpec, build
from lowtide.params import FitParams, Params
from lowtide.planning.horizon import Decision
from lowtide.stages.beginning import MakeLoss, begin
from lowtide.stages.context import StageContext, fingerprint
from lowtide.stages.controlling import make_controller
from lowtide.stages.fitting import make_pacer, model_spec
from lowtide.stages.teaching import Teaching
from lowtide.training.fit import fit
from lowtide.training.losses import label_loss
from lowtide.training.pacing import Pause
from lowtide.training.protocols import Hook, Steering
from lowtide.training.steady import Steady
from lowtide.training.world import ALONE


def untrained(params: Params) -> tuple[Classifier, ModelSpec]:
    """The network that a trial with these params begins with."""
    spec = model_spec(getattr(params.model, params.search.of), load_card(artifacts.DATA))
    torch.manual_seed(params.seed)
    return build(spec), spec


def fit_trial(
    params: Params,
    context: StageContext,
    checkpoint: Path,
    hooks: Sequence[Hook],
    later_work: float,
) -> tuple[Classifier, ModelSpec]:
    """The trained network, on the CPU. `later_work`: of trials to come, in units of this fit's.

    Raises:
        Deferred: the plan says so; and whatever the hooks raise.
        ModelError: the loss did not stay finite.
    """
    model, spec = untrained(params)
    start = begin(params, _recipe(params), ALONE, model, checkpoint, _mark(params), context.run_id)
    work = start.fit(_make_loss(params, context), _steering(params, context))
    pacer = make_pacer(params, context, work, later_work, partial(_say_pause, context))
    fit(work, [*hooks, pacer])
    return model.cpu(), spec


def _recipe(params: Params) -> FitParams:
    return params.distill if params.search.of == "student" else params.train


def _make_loss(params: Params, context: StageContext) -> MakeLoss:
    if params.search.of == "student":
        return Teaching(params, params.distill, context)
    return lambda _start: label_loss(params.train.label_smoothing)


def _steering(params: Params, context: StageContext) -> Steering:
    """That of the stage."""
    if params.search.of == "student":
        return Steady()
    budgets = params.budgets
    budget = Budget(budgets.training_emissions_g_max, budgets.training_energy_kwh_max)
    return make_controller(params, context, budget, None)


def _mark(params: Params) -> str:
    of = params.search.of
    depends = [params.seed, _recipe(params), getattr(params.model, of)]
    if of == "student":
        return fingerprint(*depends, artifacts.DATA / "card.json", artifacts.TEACHER)
    return fingerprint(*depends, params.controller, artifacts.DATA / "card.json")


def _say_pause(context: StageContext, pause: Pause, decision: Decision) -> None:
    context.say(f"waited until {pause.end:%d %b %H:%M} UTC ({decision.reason})")
