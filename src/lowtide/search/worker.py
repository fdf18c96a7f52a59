"""What one process of a search has: the study, its clock and meter, and where it puts things."""

import shutil
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

from lowtide import artifacts
from lowtide.carbon.signal import IntensitySource
from lowtide.carbon.sources import open_source
from lowtide.clock import Clock, ReplayClock, SystemClock
from lowtide.energy.ledger import Ledger
from lowtide.energy.meter import EnergyMeter, Window
from lowtide.energy.sources import open_sources
from lowtide.params import Params
from lowtide.search.progress import SpentBar
from lowtide.search.space import Space
from lowtide.search.spending import Purse
from lowtide.search.storage import Database
from lowtide.search.study import Study, Trial
from lowtide.session import Session
from lowtide.stages.context import StageContext
from lowtide.tracking import Run, Tracker
from lowtide.training.limits import Leaving
from lowtide.training.world import ALONE

FOLDER = artifacts.STATE / "search"
DATABASE = artifacts.STATE / "search.db"
ARRIVED = "arrived_at:"  # and then which budget of the study


@dataclass
class Worker:
    """`name`: of this checkout, for what is spent in it is in its ledger. `leaving`: asked by a
    signal, between two steps of a fit, and beside fits between their parts.
    """

    params: Params
    space: Space
    study: Study
    source: IntensitySource
    clock: Clock
    leaving: Leaving
    ledger: Ledger
    meter: EnergyMeter
    tracker: Tracker
    budget_g: float
    bar: SpentBar
    name: str = field(default_factory=lambda: _name(FOLDER / "worker"))

    @classmethod
    @contextmanager
    def opened(cls, params: Params, space: Space, budget_g: float) -> Iterator[Self]:
        settings = params.search
        with ExitStack() as stack:
            study = stack.enter_context(
                Study.opened(
                    settings.study, Database(settings.storage, DATABASE), space.distributions(),
                    params.seed,
                )
            )  # fmt: skip
            ledger = stack.enter_context(Ledger(artifacts.LEDGER))
            source = open_source(params.carbon)
            leaving = Leaving(_clock(params, ledger, study.id))
            stack.enter_context(leaving.listening())
            clock = leaving.clock
            sources = open_sources()
            for one in sources:
                stack.callback(one.close)
            meter = EnergyMeter(sources, source, clock, ledger, params.carbon.pue)
            tracker = Tracker(artifacts.STATE)
            bar = stack.enter_context(SpentBar(budget_g))
            yield cls(
                params, space, study, source, clock, leaving, ledger, meter, tracker, budget_g, bar
            )  # fmt: skip

    @property
    def folder(self) -> Path:
        return FOLDER / f"{self.study.name}-{self.study.id}"

    @property
    def _arrived(self) -> str:
        return f"{ARRIVED}{self.budget_g!r}"

    def begin(self) -> None:
        """Note when this budget was first given: its work is due from then on, and more of it is
        other work."""
        with self.study.alone():
            if self.study.noted(self._arrived) is None:
                self.study.note(self._arrived, self.clock.now().isoformat())

    def context(self, trial: Trial, params: Params, window: Window, run: Run) -> StageContext:
        """As a stage has it that fits a network. All trials of a budget are due together, however
        often it is started."""
        arrived_at = datetime.fromisoformat(self.study.noted(self._arrived))
        due = arrived_at + timedelta(hours=params.schedule.deadline_hours)
        session = Session(
            self.study.id, arrived_at, due, self.clock.now(), self.clock.replay, True, {}
        )
        return StageContext(
            "search", self.run_id(trial), session, self.clock, self.source, window, self.ledger,
            run, run, ALONE,
        )  # fmt: skip

    def run_id(self, trial: Trial | None) -> str:
        part = self.name if trial is None else str(trial.number)
        return f"{self.study.id}-search-{part}"

    def folder_of(self, trial: Trial) -> Path:
        return artifacts.make_folder(self.folder / str(trial.number))

    def forget(self, trial: Trial) -> None:
        shutil.rmtree(self.folder / str(trial.number), ignore_errors=True)

    @contextmanager
    def spending(self, trial: Trial | None) -> Iterator[tuple[Window, Purse]]:
        """What is used in the body is metered, and noted whatever ends it; None: of no trial."""
        with self.meter.window(self.run_id(trial), "search") as window:
            purse = Purse(
                self.study, window, self.budget_g, self.bar.spent, by=self.name,
                number=None if trial is None else trial.number,
                before_g=0.0 if trial is None else trial.spent_by_others_g(self.name),
            )  # fmt: skip
            try:
                yield window, purse
            finally:
                window.close()
                purse.look()

    def search_run(self) -> Run:
        clock = "replay" if self.clock.replay else "system"
        tags = {"lowtide.kind": "search", "lowtide.clock": clock}
        name = f"search-{self.study.name}"
        return self.tracker.start_run(f"{self.study.id}-search", name, parent_key=None, tags=tags)

    def trial_run(self, trial: Trial) -> Run:
        tags = {"lowtide.kind": "trial", "lowtide.trial": str(trial.number)}
        key, parent = self.run_id(trial), f"{self.study.id}-search"
        run = self.tracker.start_run(key, f"trial-{trial.number}", parent_key=parent, tags=tags)
        run.log_params(trial.sample)
        return run


def _clock(params: Params, ledger: Ledger, study_id: str) -> Clock:
    """A replay goes on behind what was metered for the study in this checkout."""
    start = params.carbon.replay_start
    if start is None:
        return SystemClock()
    metered = [run.ended_at for run in ledger.runs() if run.run_id.startswith(f"{study_id}-")]
    return ReplayClock(max([start, *metered]), params.carbon.replay_speed)


def _name(path: Path) -> str:
    """Kept in the checkout."""
    if not path.exists():
        artifacts.write_text(path, uuid.uuid4().hex[:8])
    return path.read_text(encoding="utf-8").strip()
