"""What the controller of a stage works with: budgets, weights, levers, and what is read live."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, NoReturn

from lowtide import artifacts
from lowtide.carbon.signal import IntensitySource, intensity_at
from lowtide.clock import Clock
from lowtide.controller.knobs import Levers, Trying, Weights
from lowtide.data.card import load_card
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

    def spent(figure: str) -> float | None:
        used = [report[figure] for report in before]
        return None if None in used else sum(used)

    return Budget(
        budgets.training_emissions_g_max, budgets.training_energy_kwh_max,
        spent("emissions_g"), spent("energy_kwh"),
    )  # fmt: skip


def make_controller(
    params: Params, context: StageContext, budget: Budget, trying: Trying | None
) -> Controller:
    usual = _usual_intensity(context.source, context.clock)

    def read() -> Reading:
        context.window.sample()
        totals = context.window.totals()
        now = intensity_at(context.source, context.clock.now())
        relative = now / usual if now is not None and usual else 1.0
        return Reading.of(totals, relative)

    return _controller(params, trying, read, budget, context.say)


def following_controller(params: Params, trying: Trying | None) -> Controller:
    """For a process that is told what is measured, and says nothing."""

    def ask() -> NoReturn:
        raise AssertionError("the process that leads is the one to measure")

    return _controller(params, trying, ask, Budget(), lambda _: None)


def _controller(
    params: Params,
    trying: Trying | None,
    read: Callable[[], Reading],
    budget: Budget,
    say: Callable[[str], None],
) -> Controller:
    settings = params.controller
    levers = Levers(
        batch_sizes=settings.batch_sizes if trying is None else (),
        land=settings.land,
        epochs_min=settings.epochs_min,
        compress=settings.gates,
        accuracy_target=settings.accuracy_target,
        image_scale=settings.image_scale,
        trying=trying,
    )
    return Controller(
        make_weights(params),
        levers,
        seed=params.seed,
        input_shape=load_card(artifacts.DATA).shape,
        round_to=settings.round_to,
        energy_share_min=settings.energy_share_min,
        read=read,
        inference_j=params.budgets.inference_energy_j_max,
        spent=(budget.spent_kwh, budget.spent_g),
        say=say,
        recorded=None if settings.decisions is None else Record.read(settings.decisions),
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
