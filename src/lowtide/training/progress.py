"""What a person sees while a fit runs, and the curves MLflow draws meanwhile."""

import sys
import time
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from lowtide.controller.knobs import Weights
from lowtide.energy.budget import Budget
from lowtide.energy.totals import Totals, Window
from lowtide.training.protocols import Hook

EVERY_S = 1.0


class Metrics(Protocol):
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None: ...


def energy_text(totals: Totals) -> str:
    """For example `0.000412 kWh 0.11 g CO2e (estimated)`."""
    if totals.energy_kwh is None:
        return "energy unknown"
    grams = "? g" if totals.emissions_g is None else f"{totals.emissions_g:.3g} g"
    return f"{totals.energy_kwh:.3g} kWh {grams} CO2e ({totals.provenance})"


class Progression(Hook):
    """A training hook: progress bar with energy and grams so far, live metrics each second.

    earlier: epochs that the stage has had before these.
    """

    def __init__(
        self, stage: str, meter: Window, run: Metrics, epochs: int, earlier: int = 0
    ) -> None:
        self._stage, self._meter, self._run = stage, meter, run
        self._epochs, self._earlier = epochs, earlier
        self._bar = Bar(
            TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(),
            TimeRemainingColumn(), TextColumn("{task.fields[energy]}"),
            console=Console(file=sys.stderr), disable=not sys.stderr.isatty(),
        )  # fmt: skip
        self._task = self._bar.add_task(stage, total=None, energy="")
        self._logged_s = 0.0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def after_step(self, step: float, num_steps: float, loss: float) -> None:
        now = time.monotonic()
        if now - self._logged_s < EVERY_S:
            return
        self._logged_s = now
        totals = self._meter.totals()
        self._bar.update(
            self._task, completed=step + 1, total=num_steps, energy=energy_text(totals)
        )
        step += self._earlier * num_steps / self._epochs
        self._run.log_metrics({"loss": loss, **_energy_metrics(totals)}, int(step))

    def after_epoch(self, epoch: int, metrics: dict[str, float]) -> None:
        self._meter.sample()
        totals = self._meter.totals()
        epoch += self._earlier
        self._run.log_metrics({**metrics, **_energy_metrics(totals)}, epoch)
        epochs = self._earlier + self._epochs
        self._bar.console.print(
            f"{self._stage}: epoch {epoch}/{epochs}  loss {metrics['train_loss']:.3f}  "
            f"val accuracy {metrics['val_accuracy']:.4f}  {energy_text(totals)}",
            soft_wrap=True,
        )


class ObjectiveCurves(Hook):
    """A training hook: the three terms of L = alpha L_accuracy + beta E + gamma C, each epoch.

    L_accuracy is the validation loss; energy and emissions, of this and earlier stages, are in
    units of their budgets. earlier: epochs that the stage has had before these.
    """

    def __init__(
        self, weights: Weights, budget: Budget, meter: Window, run: Metrics, earlier: int = 0
    ) -> None:
        self._weights, self._budget, self._meter, self._run = weights, budget, meter, run
        self._earlier = earlier

    def after_epoch(self, epoch: int, metrics: dict[str, float]) -> None:
        totals, weights = self._meter.totals(), self._weights
        terms = {"objective_accuracy": weights.alpha * metrics["val_loss"]}
        used_kwh, used_g = self._budget.used_kwh(totals), self._budget.used_g(totals)
        if used_kwh is not None:
            terms["objective_energy"] = weights.cost(used_kwh, 0.0)
        if used_g is not None:
            terms["objective_carbon"] = weights.cost(0.0, used_g)
        self._run.log_metrics(terms, self._earlier + epoch)


def _energy_metrics(totals: Totals) -> dict[str, float]:
    figures = {
        "energy_kwh_so_far": totals.energy_kwh,
        "emissions_g_so_far": totals.emissions_g,
    }
    return {name: value for name, value in figures.items() if value is not None}
