"""What training may use, and how near it is: said at 80 %, over at 100 %."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from lowtide.energy.totals import Totals, known_sum
from lowtide.errors import UsageError

NEAR = 0.8  # of a budget: said once
EVERY_S = 1.0  # between two looks at what is used


@dataclass(frozen=True)
class Budget:
    """None is no limit. What was spent before counts as used; None where that is unknown."""

    emissions_g: float | None = None
    energy_kwh: float | None = None
    spent_g: float | None = 0.0
    spent_kwh: float | None = 0.0

    def __post_init__(self) -> None:
        for name, limit in (("grams", self.emissions_g), ("kWh", self.energy_kwh)):
            if limit is not None and not limit > 0:
                raise UsageError(f"a budget of {limit} {name} leaves nothing to train with")

    def used(self, totals: Totals) -> float:
        """As a share of the limit that is nearest, of those whose figure is known."""
        known = [used / limit for used, limit in self._limited(totals) if used is not None]
        return max(known, default=0.0)

    def used_kwh(self, totals: Totals) -> float | None:
        """Of the budget, what was spent before included; None where that is unknown."""
        return known_sum(self.spent_kwh, totals.energy_kwh)

    def used_g(self, totals: Totals) -> float | None:
        return known_sum(self.spent_g, totals.emissions_g)

    def is_blind(self, totals: Totals) -> bool:
        """Whether a figure that has a limit is unknown."""
        return bool(totals.components) and any(used is None for used, _ in self._limited(totals))

    def _limited(self, totals: Totals) -> list[tuple[float | None, float]]:
        pairs = (
            (self.used_g(totals), self.emissions_g),
            (self.used_kwh(totals), self.energy_kwh),
        )
        return [(used, limit) for used, limit in pairs if limit is not None]


@dataclass
class BudgetWatch:
    """Looks at a budget while something runs, and says once what there is to say."""

    budget: Budget
    say: Callable[[str], None]
    _said: set[str] = field(default_factory=set)
    _looked_s: float = 0.0

    def spent(self, totals: Totals, where: str) -> bool:
        """Whether it is used up; `where`: how far the work is, for the message."""
        used = self.budget.used(totals)
        if self.budget.is_blind(totals):
            self._say_once("blind", "a budget cannot be held: what is used is unknown here")
        if used >= 1:
            self._say_once("spent", f"the budget is spent {where}")
        elif used >= NEAR:
            self._say_once("near", f"{NEAR:.0%} of the budget is used {where}")
        return used >= 1

    def spent_by_now(self, totals: Callable[[], Totals], where: str) -> bool:
        """The same, with a look each second at most; False in between."""
        now_s = time.monotonic()
        if now_s - self._looked_s < EVERY_S:
            return False
        self._looked_s = now_s
        return self.spent(totals(), where)

    def _say_once(self, key: str, text: str) -> None:
        if key not in self._said:
            self._said.add(key)
            self.say(text)
