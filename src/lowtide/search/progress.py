"""What a person sees of a search: a line for each trial, and on a terminal a bar of its grams."""

import sys
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from lowtide.search.front import Outcome, pareto


class SpentBar:
    """Fills as the budget is spent; beside it how many trials are through, and the best of them."""

    def __init__(self, budget_g: float) -> None:
        self._budget_g = budget_g
        self._bar = Progress(
            TextColumn("search"), BarColumn(), TaskProgressColumn(),
            TextColumn("{task.fields[grams]}"), TextColumn("{task.fields[best]}"),
            console=Console(file=sys.stderr), disable=not sys.stderr.isatty(),
        )  # fmt: skip
        self._task = self._bar.add_task("search", total=budget_g, grams="", best="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def spent(self, grams: float) -> None:
        text = spent_text(grams, self._budget_g)
        self._bar.update(self._task, completed=min(grams, self._budget_g), grams=text)

    def through(self, outcomes: list[Outcome]) -> None:
        self._bar.update(self._task, best=best_text(outcomes))

    def say(self, text: str) -> None:
        self._bar.console.print(f"search: {text}", soft_wrap=True, highlight=False, markup=False)


def spent_text(grams: float, budget_g: float) -> str:
    return f"{grams:.3g} of {budget_g:.3g} g"


def best_text(outcomes: list[Outcome]) -> str:
    """The most accurate of the front, and how many are on it."""
    front = pareto(outcomes)
    if not front:
        return "none through"
    return f"{len(front)} on the front, best {front[0].accuracy:.4f} at {front[0].energy_j:.3g} J"
