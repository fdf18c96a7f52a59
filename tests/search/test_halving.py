"""Which trials go on at a rung, and which are not worth training at all."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lowtide.search.front import Outcome
from lowtide.search.halving import (
    PROBED,
    RUNGS,
    Halving,
    PrunedError,
    goes_on,
    levels_g,
    losses_at,
    surpassed,
)
from lowtide.search.study import Study, Trial
from tests.search.test_spending import Spender, spender
from tests.search.test_study import opened


def trial(number: int, ratio: float, *accuracies: float, through: float | None = None) -> Trial:
    outcome = None if through is None else Outcome(number, through, ratio, 1.0)
    notes = {"probed": ratio, "rungs": list(accuracies)}
    return Trial(number, "unfinished", {}, notes, outcome)


def test_levels_are_parts_of_a_fit_beyond_what_surrounds_it() -> None:
    assert levels_g(1.0, 27.0, 3, 3) == [2.0, 4.0, 10.0]


def test_the_first_trials_at_a_rung_all_go_on() -> None:
    losses = losses_at([trial(0, 0.1, 0.9), trial(1, 0.2, 0.8)], 0)
    assert goes_on(1, {1: losses[1]}, 3)
    assert not goes_on(1, losses, 3)


def test_a_third_goes_on_by_rank_in_accuracy_and_joules() -> None:
    trials = [trial(n, 0.1 * n, 0.9 - 0.1 * n) for n in range(1, 7)]  # each worse than the last
    losses = losses_at(trials, 0)
    assert [n for n in losses if goes_on(n, losses, 3)] == [1, 2]


def test_what_is_best_in_one_of_both_goes_on() -> None:
    losses = losses_at([trial(0, 0.1, 0.5), trial(1, 0.5, 0.9), trial(2, 0.3, 0.7)], 0)
    assert all(goes_on(n, losses, 3) for n in losses)


def test_only_trials_that_were_at_the_rung_count() -> None:
    trials = [trial(0, 0.1, 0.5), trial(1, 0.5, 0.9, 0.95), trial(2, 0.3)]
    assert losses_at(trials, 1) == {1: (-0.95, 0.5)}


def test_nothing_makes_up_for_more_joules_than_one_with_all_the_accuracy_has() -> None:
    trials = [trial(0, 0.2, 0.93, through=0.95), trial(1, 0.3, 0.99)]
    assert surpassed(0.4, 0.98, trials) == 1
    assert surpassed(0.25, 0.98, trials) is None  # it has fewer joules
    assert surpassed(0.25, 0.95, trials) is None  # not clearly: probes differ
    assert surpassed(0.26, 0.95, trials) == 0


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    """Two trials have been at its rungs."""
    with opened(tmp_path) as study:
        for ratio, accuracies in ((0.2, [0.6, 0.8]), (0.4, [0.7, 0.9])):
            number = study.ask().number
            study.note_of(number, PROBED, ratio)
            study.note_of(number, RUNGS, accuracies)
        yield study


@pytest.fixture
def spending(study: Study, tmp_path: Path) -> Iterator[Spender]:
    """The worker of the third."""
    with spender(study, tmp_path, "me") as spending:
        study.note_of(2, PROBED, 0.3)
        yield spending


def halving(spending: Spender) -> Halving:
    study = spending.study
    return Halving(study, study.trials()[2], spending.purse, rungs_g=[1.0, 3.0], reduction=3)


def after_epoch(halving: Halving, accuracy: float, *, last: bool = False) -> None:
    halving.before_step(9.0, 10.0 if last else 20.0)
    halving.after_epoch(1, {"val_accuracy": accuracy})


def test_a_trial_that_is_behind_ends_at_the_rung(spending: Spender) -> None:
    hook = halving(spending)
    spending.spend(0.9)
    after_epoch(hook, 0.1)  # not there yet
    spending.spend(0.2)
    with pytest.raises(PrunedError, match=r"rung 1: not among the best 1/3 of 3 .* trial 0 has"):
        after_epoch(hook, 0.5)
    assert spending.study.trials()[2].notes[RUNGS] == [0.5]  # for others to be compared with


def test_a_trial_that_is_not_behind_goes_on_to_the_next_rung(spending: Spender) -> None:
    """Compared once a rung, with what the others had there; a restart does not ask again."""
    hook = halving(spending)
    spending.spend(1.1)
    after_epoch(hook, 0.65)
    after_epoch(hook, 0.1)  # between two rungs
    spending.spend(2.0)
    with pytest.raises(PrunedError, match=r"rung 2: .* trial 0 has better of both"):
        after_epoch(halving(spending), 0.7)
    assert spending.study.trials()[2].notes[RUNGS] == [0.65, 0.7]


def test_a_trial_that_is_through_is_not_pruned(spending: Spender) -> None:
    hook = halving(spending)
    spending.spend(9)
    after_epoch(hook, 0.1, last=True)
    assert spending.study.trials()[2].notes[RUNGS] == [0.1, 0.1]
