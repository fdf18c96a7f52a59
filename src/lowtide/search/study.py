"""A study in its database: its trials, who works on them, and what it has spent."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from lowtide.params import Choice
from lowtide.search.front import Outcome
from lowtide.search.owners import Alone, Owners, PostgresOwners
from lowtide.search.sampler import NumberedSampler
from lowtide.search.storage import Database

# Of accuracy, joules per inference and grams.
DIRECTIONS = (StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE, StudyDirection.MINIMIZE)
RESERVED = "reserved_g"  # for what a worker does just now
TOOK = "took_g:"  # and then what grams were reserved for
SPENT = "spent_g:"  # and then by which worker
UNFINISHED = "unfinished"
STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: UNFINISHED,
    TrialState.WAITING: UNFINISHED,
}


@dataclass(frozen=True)
class Trial:
    """As it stands in the database. `notes`: what was found out of it so far."""

    number: int
    state: str
    sample: Mapping[str, Choice]
    notes: Mapping[str, Any]
    outcome: Outcome | None

    @property
    def spent_g(self) -> float:
        return _spent_g(self.notes)

    @property
    def reserved_g(self) -> float:
        return float(self.notes.get(RESERVED, 0.0)) if self.state == UNFINISHED else 0.0

    @property
    def took_g(self) -> list[float]:
        return [float(grams) for key, grams in self.notes.items() if key.startswith(TOOK)]

    def spent_by_others_g(self, worker: str) -> float:
        return self.spent_g - float(self.notes.get(f"{SPENT}{worker}", 0.0))


@dataclass
class Study:
    """Everything raises StudyError where the database does not answer.

    A trial belongs to one worker at a time; one that a dead worker has left is taken over.
    """

    name: str
    database: Database
    owners: Owners
    distributions: Mapping[str, BaseDistribution]
    _study: optuna.Study
    _mine: dict[int, optuna.Trial] = field(default_factory=dict)

    @classmethod
    @contextmanager
    def opened(
        cls, name: str, database: Database, distributions: Mapping[str, BaseDistribution], seed: int
    ) -> Iterator[Self]:
        with database.opening():
            server = database.file is None
            owners = PostgresOwners(database.url, name) if server else Alone()
        try:
            with database.talking(), owners.alone():
                study = optuna.create_study(
                    study_name=name, storage=database.open(), directions=DIRECTIONS,
                    sampler=NumberedSampler(seed), load_if_exists=True,
                )  # fmt: skip
                if "id" not in study.user_attrs:
                    study.set_user_attr("id", uuid.uuid4().hex[:8])
            yield cls(name, database, owners, distributions, study)
        finally:
            owners.close()

    @property
    def id(self) -> str:
        """Of this study alone, whatever others have had its name."""
        return str(self.noted("id"))

    def noted(self, key: str) -> Any:
        """Of the study as a whole; None where nothing is."""
        with self.database.talking():
            return self._study.user_attrs.get(key)

    def note(self, key: str, value: Any) -> None:
        with self.database.talking():
            self._study.set_user_attr(key, value)

    @contextmanager
    def alone(self) -> Iterator[None]:
        with self.database.talking(), self.owners.alone():
            yield

    def trials(self) -> list[Trial]:
        with self.database.talking():
            return [_trial(one) for one in self._study.get_trials(deepcopy=False)]

    def outcomes(self) -> list[Outcome]:
        return [trial.outcome for trial in self.trials() if trial.outcome is not None]

    def spent_g(self, trials: Sequence[Trial] | None = None) -> float:
        """By all workers, on all trials (which need not be read again), and before the first."""
        with self.database.talking():
            own = _spent_g(self._study.user_attrs)
        return own + sum(trial.spent_g for trial in (self.trials() if trials is None else trials))

    def take_over(self) -> Trial | None:
        """A trial that was begun and that nobody works on."""
        with self.alone():
            for left in self._left():
                if left.number in self._mine or not self.owners.claim(left.number):
                    continue
                trial = optuna.Trial(self._study, left._trial_id)
                if self._state(left.number) is TrialState.RUNNING:
                    return self._take(trial)
                self.owners.release(left.number)
        return None

    def _left(self) -> list[FrozenTrial]:
        """Unfinished ones; those first for which grams are reserved, which others have to leave."""
        unfinished = self._study.get_trials(deepcopy=False, states=[TrialState.RUNNING])
        return sorted(unfinished, key=lambda one: -float(one.user_attrs.get(RESERVED, 0.0)))

    def ask(self) -> Trial:
        """A new trial."""
        with self.alone():
            trial = self._study.ask()
            claimed = self.owners.claim(trial.number)
            assert claimed, "nobody else has seen it"
            return self._take(trial)

    def note_of(self, number: int, key: str, value: Any) -> None:
        """Of a trial of one's own."""
        with self.database.talking():
            self.owners.check()
            self._mine[number].set_user_attr(key, value)

    def note_spent(self, number: int | None, by: str, grams: float) -> None:
        """So far, on a trial of one's own or (None) before the first."""
        if number is None:
            self.note(f"{SPENT}{by}", grams)
        else:
            self.note_of(number, f"{SPENT}{by}", grams)

    def complete(self, number: int, accuracy: float, energy_j: float, emissions_g: float) -> None:
        self._tell(number, TrialState.COMPLETE, [accuracy, energy_j, emissions_g])

    def end(self, number: int, state: str, reason: str) -> None:
        """`state`: pruned or failed."""
        self.note_of(number, "reason", reason)
        self._tell(number, TrialState.PRUNED if state == "pruned" else TrialState.FAIL, None)

    def _take(self, trial: optuna.Trial) -> Trial:
        self._mine[trial.number] = trial
        for key, distribution in self.distributions.items():
            _suggest(trial, key, distribution)
        return next(one for one in self.trials() if one.number == trial.number)

    def _tell(self, number: int, state: TrialState, values: Sequence[float] | None) -> None:
        with self.database.talking():
            self.owners.check()
            self._study.tell(self._mine.pop(number), values, state)
            self.owners.release(number)

    def _state(self, number: int) -> TrialState:
        found = self._study.get_trials(deepcopy=False)
        return next(one.state for one in found if one.number == number)


def _suggest(trial: optuna.Trial, key: str, distribution: BaseDistribution) -> None:
    """Drawn, or what an earlier worker has drawn."""
    if isinstance(distribution, IntDistribution):
        trial.suggest_int(
            key, distribution.low, distribution.high, step=distribution.step, log=distribution.log
        )
    elif isinstance(distribution, FloatDistribution):
        trial.suggest_float(
            key, distribution.low, distribution.high, step=distribution.step, log=distribution.log
        )
    else:
        assert isinstance(distribution, optuna.distributions.CategoricalDistribution)
        trial.suggest_categorical(key, distribution.choices)


def _trial(frozen: FrozenTrial) -> Trial:
    outcome = Outcome(frozen.number, *frozen.values) if frozen.values is not None else None
    return Trial(
        frozen.number, STATES[frozen.state], dict(frozen.params), dict(frozen.user_attrs), outcome
    )


def _spent_g(notes: Mapping[str, Any]) -> float:
    return sum(float(grams) for key, grams in notes.items() if key.startswith(SPENT))
