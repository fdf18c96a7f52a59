"""A chain of sources, tried in order; every value says how far it had to fall.

provider -> second provider -> stale cache -> profile -> annual -> constant

A list comes from one rung alone, so that kinds and bases are never mixed within it.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol, TypeVar

from lowtide.carbon.live import LiveSource
from lowtide.carbon.profile import WeekProfile
from lowtide.carbon.signal import IntensityValue, Rung
from lowtide.errors import CarbonError

T = TypeVar("T")
PROVIDERS: tuple[Rung, Rung] = ("provider", "second provider")
log = logging.getLogger(__name__)


class Estimate(Protocol):
    """What stands in where no provider answers; asks nothing of any network."""

    name: str

    def current(self, at: datetime) -> IntensityValue: ...

    def forecast(self, at: datetime, hours: float) -> list[IntensityValue]: ...


@dataclass(frozen=True)
class Step:
    rung: Rung
    name: str
    current: Callable[[datetime], IntensityValue]
    forecast: Callable[[datetime, float], list[IntensityValue]]


class ChainSource:
    """An IntensitySource that answers as long as any rung does.

    Raises:
        CarbonError: `second` is the same as `first`, or has another kind or basis of signal.
    """

    def __init__(
        self,
        first: LiveSource,
        second: LiveSource | None = None,
        estimates: Sequence[tuple[Rung, Estimate]] = (),
    ) -> None:
        self.zone, self.name = first.zone, first.name
        self._lives = [first] if second is None else [first, second]
        if second is not None:
            _same_signal(first, second)
        self._steps = [*_live_steps(self._lives), *(_step(rung, e) for rung, e in estimates)]
        self._fallen: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    @property
    def attribution(self) -> str:
        return "; ".join(live.provider.attribution for live in self._lives)

    def current(self, at: datetime) -> IntensityValue:
        step, value = self._first_of("current", lambda step: step.current(at))
        return replace(value, rung=step.rung)

    def history(self, start: datetime, end: datetime) -> list[IntensityValue]:
        """What a provider has said of the past, gathered over time; never an estimate of it."""
        for rung, live in zip(PROVIDERS, self._lives, strict=False):
            if values := live.history(start, end):
                return [replace(value, rung=rung) for value in values]
        return []

    def forecast(self, at: datetime, hours: float) -> list[IntensityValue]:
        step, values = self._first_of("forecast", lambda step: step.forecast(at, hours))
        return [replace(value, rung=step.rung) for value in values]

    def _first_of(self, question: str, ask: Callable[[Step], T]) -> tuple[Step, T]:
        last: CarbonError | None = None
        for step in self._steps:
            try:
                answer = ask(step)
            except CarbonError as error:
                self._fell(question, step, error)
                last = error
                continue
            with self._lock:
                self._fallen.discard((question, step.name))
            return step, answer
        raise CarbonError(
            f"no {question} for {self.zone} from any source, the last: {last}; "
            "set carbon.constant_g_per_kwh to go on without a signal"
        )

    def _fell(self, question: str, step: Step, error: CarbonError) -> None:
        """Warn of a fall once, until the rung has answered again."""
        with self._lock:
            known = (question, step.name) in self._fallen
            self._fallen.add((question, step.name))
        if not known:
            log.warning("%s of %s falls below %s: %s", question, self.zone, step.name, error)


def _live_steps(lives: Sequence[LiveSource]) -> list[Step]:
    steps = [
        Step(rung, f"{rung} {live.name}", live.current, live.forecast)
        for rung, live in zip(PROVIDERS, lives, strict=False)
    ]
    steps += [
        Step("stale cache", f"stale cache of {live.name}", live.stale_current, live.stale_forecast)
        for live in lives
    ]
    return steps + [
        _step("profile", WeekProfile(live.zone, live.name, live.kept_history)) for live in lives
    ]


def _step(rung: Rung, estimate: Estimate) -> Step:
    return Step(rung, f"{rung} {estimate.name}", estimate.current, estimate.forecast)


def _same_signal(first: LiveSource, second: LiveSource) -> None:
    one, other = first.provider, second.provider
    if one.key == other.key:
        raise CarbonError(f"carbon.second_source is {one.key} again: take another or null")
    if (one.kind, one.basis) != (other.kind, other.basis):
        raise CarbonError(
            f"carbon.second_source {other.key} is {other.kind}, {other.basis}, but {one.key} is "
            f"{one.kind}, {one.basis}: levels cannot be compared, take another or null"
        )
