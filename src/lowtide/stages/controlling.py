"""What the controller of a stage works with: budgets, weights, levers, and what is read live."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, NoReturn

from lowtide import artifacts
from lowtide.carbon.signal import IntensitySource, intensity_at
from lowtide.clock import Clock
from lowtide.controller.knobs import Levers, Trying, Weights
from lowtide.data.batches import load_card
from lowtide.energy.budget import Budget
from lowtide.errors import CarbonError
from lowtide.params import Params
from lowtide.stages.context import StageContext, reports_before
from lowtide.training.record import Reading, Record
from lowtide.training.steering import Controller

USUAL = timedelta(days=7)  # the mean intensity of so long is 1 in the pressure on the gates


def training_budget(params: Params, context: StageContext) -> Budget:
    """Of all stages that train: what earlier ones of this pipeline run have used is gone."""
    before, budgets = reports_before(context), params.budgets
    return Budget(
        budgets.training_emissions_g_max,
        budgets.training_energy_kwh_max,
        sum(report["emissions_g"] or 0.0 for report in before),
        sum(report["energy_kwh"] or 0.0 for report in before),
    )


def make_controller(
    params: Params, context: StageContext, budget: Budget, trying: Trying | None
) -> Controller:
    usual = _usual_intensity(context.source, context.clock)

    def read() -> Reading:
        context.window.sample()
        totals = context.window.totals()
        now = intensity_at(context.source, context.clock.now())
        relative = now / usual if now is not None and usual else 1.0
        return Reading(totals.energy_kwh, totals.emissions_g, relative)

    def power_w() -> float | None:
        return context.window.totals().mean_power_w

    spent = (budget.spent_kwh, budget.spent_g)
    return _controller(params, trying, read, power_w, spent, context.say)


def following_controller(params: Params, trying: Trying | None) -> Controller:
    """For a process that is told what is measured, and says nothing."""

    def ask() -> NoReturn:
        raise AssertionError("the process that leads is the one to measure")

    return _controller(params, trying, ask, ask, (0.0, 0.0), lambda _: None)


def _controller(
    params: Params,
    trying: Trying | None,
    read: Callable[[], Reading],
    power_w: Callable[[], float | None],
    spent: tuple[float, float],
    say: Callable[[str], None],
) -> Controller:
    settings = params.controller
    return Controller(
        make_weights(params),
        Levers(
            settings.batch_sizes if trying is None else (),
            settings.land,
            settings.epochs_min,
            settings.gates,
            settings.accuracy_target,
            settings.image_scale,
            trying,
        ),
        params.seed,
        load_card(artifacts.DATA).shape,
        settings.round_to,
        settings.energy_share_min,
        read,
        power_w,
        params.budgets.inference_energy_j_max,
        spent,
        say,
        None if settings.decisions is None else Record.read(settings.decisions),
    )


def make_weights(params: Params) -> Weights:
    weights, budgets = params.objective, params.budgets
    return Weights(
        weights.alpha, weights.beta, weights.gamma, budgets.training_energy_kwh_max,
        budgets.training_emissions_g_max,
    )  # fmt: skip


def log_decisions(controller: Controller, context: StageContext) -> dict[str, Any]:
    """What was decided, as a file that another run can repeat; returns what the report says."""
    path = artifacts.REPORTS / f"{context.stage}_decisions.json"
    artifacts.write_json(path, controller.record().as_json())
    context.run.log_artifact(path)
    reasons = [reason for one in controller.state.decisions for reason in one["reasons"]]
    return {"decisions": reasons}


def _usual_intensity(source: IntensitySource, clock: Clock) -> float | None:
    now = clock.now()
    try:
        values = source.history(now - USUAL, now)
    except CarbonError:
        values = []
    if not values:
        return intensity_at(source, now)
    return sum(value.intensity_g_per_kwh for value in values) / len(values)
