"""For training loops of one's own: metered, within a budget, and in clean hours.

from lowtide import pace

for batch in pace(loader, deadline_hours=24):
    ...
"""

import sys
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from lowtide.artifacts import LEDGER
from lowtide.energy.budget import Budget, BudgetWatch
from lowtide.energy.ledger import Ledger
from lowtide.energy.meter import EnergyMeter, Window
from lowtide.energy.sources import open_sources
from lowtide.energy.totals import Totals
from lowtide.errors import UsageError
from lowtide.planning.horizon import Decision
from lowtide.running.setting import GridOptions, Setting, open_setting
from lowtide.training.pacing import Pacer, Pause
from lowtide.training.progress import energy_text

T = TypeVar("T")
PARAMS = Path("params.yaml")


class Pace:
    """One loop of `num_steps`: meters from enter to exit, and waits before a step that is planned
    for a cleaner hour.

    Without `deadline_hours` it never waits, and `num_steps` may be 0 for not known. The grid is
    that of the options, else of params.yaml. Joules go to the ledger in `.lowtide/`.

    Raises:
        UsageError: no grid is named, or a budget is not positive.
        CarbonError: the grid's source cannot be used.
    """

    def __init__(
        self,
        num_steps: int,
        *,
        deadline_hours: float | None = None,
        budget_g: float | None = None,
        budget_kwh: float | None = None,
        name: str = "loop",
        params: Path | str = PARAMS,
        zone: str | None = None,
        trace: str | None = None,
        at: datetime | str | None = None,
        replay_speed: float | None = None,
    ) -> None:
        self.num_steps, self.name, self.step = num_steps, name, 0
        self.over = False  # the budget is spent
        self._watch = BudgetWatch(Budget(budget_g, budget_kwh), self._say)
        self.pauses: list[Pause] = []
        self._deadline_hours = deadline_hours
        options = GridOptions(zone, trace, _instant(at), replay_speed)
        self._options = (Path(params), PARAMS, options)

    def __enter__(self) -> Self:
        setting = open_setting(*self._options)
        with ExitStack() as stack:
            sources = open_sources()
            for source in sources:
                stack.callback(source.close)
            ledger = stack.enter_context(Ledger(LEDGER))
            setting = setting.begun()
            meter = EnergyMeter(sources, setting.source, setting.clock, ledger, setting.pue)
            run_id = f"pace-{uuid.uuid4().hex[:12]}"
            self._window = stack.enter_context(meter.window(run_id, self.name))
            self._pacer = self._made_pacer(setting, self._window)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()
        waited = f", {len(self.pauses)} pauses" if self.pauses else ""
        self._say(f"{self.step} steps, {energy_text(self.totals)}{waited}")

    @property
    def totals(self) -> Totals:
        """Energy and grams so far."""
        return self._window.totals()

    def before_step(self) -> None:
        """May wait until the grid is cleaner."""
        if self._pacer is not None and self.step < self.num_steps:
            self._pacer.before_step(self.step, self.num_steps)

    def after_step(self) -> None:
        """Counts the step; `over` tells whether it was the last that the budget allows."""
        self.step += 1
        of_all = f" of {self.num_steps}" if self.num_steps > 0 else ""
        where = f"after {self.step}{of_all} steps"
        self.over = self._watch.spent_by_now(self._window.totals, where) or self.over

    def _made_pacer(self, setting: Setting, window: Window) -> Pacer | None:
        if self._deadline_hours is None:
            return None
        deadline = setting.clock.now() + timedelta(hours=self._deadline_hours)

        def on_pause(pause: Pause, decision: Decision) -> None:
            self.pauses.append(pause)
            self._say(f"paused until {pause.end:%d %b %H:%M} UTC ({decision.reason})")

        return Pacer(
            setting.clock, setting.source, setting.schedule, deadline, window, 0.0, on_pause
        )

    def _say(self, text: str) -> None:
        print(f"lowtide: {self.name}: {text}", file=sys.stderr, flush=True)


def pace(items: Iterable[T], *, total: int | None = None, **options: Any) -> Iterator[T]:
    """The items, one by one, each when the grid is clean enough; ends early where a budget is
    spent. An item's loading is part of its step.

    Args:
        items: batches or epochs; `total` says how many where they have no length.
        options: as for `Pace`: deadline_hours, budget_g, budget_kwh, zone, trace, at, ...

    Raises:
        UsageError: how many items there are is not known.
    """
    num_steps = total if total is not None else _length(items)
    source = iter(items)
    with Pace(num_steps, **options) as pacing:
        while not pacing.over:
            pacing.before_step()
            try:
                item = next(source)
            except StopIteration:
                return
            try:
                yield item
            finally:
                pacing.after_step()


def _instant(at: datetime | str | None) -> datetime | None:
    """ISO 8601; without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat(at) if isinstance(at, str) else at
    except ValueError:
        raise UsageError(f"at={at!r} is no ISO 8601 instant, like 2022-04-14T03:00Z") from None
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)


def _length(items: Iterable[Any]) -> int:
    try:
        return len(items)  # type: ignore[arg-type]
    except TypeError:
        raise UsageError("pace() needs the number of items: give total=") from None
