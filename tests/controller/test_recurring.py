"""Batch sizes for a job that comes again: a walk, then sampling, and what changes is noticed."""

from collections.abc import Callable
from random import Random

import pytest

from lowtide.controller.recurring import STOP, BatchSizes, Trial, since_drift

SIZES = [8, 16, 32, 64, 128, 256]


def valley(best: int) -> Callable[[int], float]:
    """Twice as dear with each doubling away from the best."""
    return lambda size: 10.0 * 2 ** abs(SIZES.index(size) - SIZES.index(best))


def play(
    cost: Callable[[int], float], num: int, default: int = 128, noise: float = 0.0, seed: int = 0
) -> list[Trial]:
    """As many runs as asked for, each stopped where its choice says so."""
    chooser, rng, trials = BatchSizes(SIZES, default, seed), Random(seed), []
    for _ in range(num):
        choice = chooser.choose(trials)
        spent = cost(choice.batch_size) * (1 + noise * rng.uniform(-1, 1))
        trials.append(
            Trial(choice.batch_size, min(spent, choice.cost_limit), spent <= choice.cost_limit)
        )
    return trials


def test_it_begins_with_the_default_and_without_a_limit() -> None:
    choice = BatchSizes(SIZES, 128).choose([])
    assert (choice.batch_size, choice.cost_limit) == (128, float("inf"))


@pytest.mark.parametrize("best", [8, 32, 256])
def test_it_walks_to_the_best_and_stays_there(best: int) -> None:
    trials = play(valley(best), 40, noise=0.03)
    assert {trial.batch_size for trial in trials[-20:]} == {best}
    assert all(trial.reached for trial in trials[-20:])


def test_what_is_hopeless_is_stopped_at_a_bound_and_not_tried_again() -> None:
    trials = play(valley(128), 40)
    stopped = [trial for trial in trials if not trial.reached]
    assert sorted(trial.batch_size for trial in stopped) == [64, 256]
    assert all(trial.cost == pytest.approx(STOP * 10.0) for trial in stopped)


def test_a_default_that_never_arrives_is_left() -> None:
    failed = [Trial(128, 500.0, reached=False), Trial(64, 500.0, reached=False)]
    assert BatchSizes(SIZES, 128).choose(failed).batch_size == 256
    every = [Trial(size, 500.0, reached=False) for size in SIZES]
    assert BatchSizes(SIZES, 128).choose(every).batch_size == 128


def test_the_same_trials_give_the_same_choice() -> None:
    trials = play(lambda _: 10.0, 30, noise=0.2, seed=4)
    assert play(lambda _: 10.0, 30, noise=0.2, seed=4) == trials
    assert BatchSizes(SIZES, 128, 4).choose(trials) == BatchSizes(SIZES, 128, 4).choose(trials)
    assert len({trial.batch_size for trial in trials[-20:]}) > 1  # nothing tells them apart


def test_a_job_that_has_become_another_is_learnt_anew() -> None:
    before = play(valley(32), 20)
    assert since_drift(before) == before
    drifted = [*before, *[Trial(32, 40.0, reached=True)] * 3]
    assert since_drift(drifted) == drifted[-3:]
    assert BatchSizes(SIZES, 128).choose(drifted).batch_size == 16  # the walk begins from 32
    once = [*before, Trial(32, 40.0, reached=True), Trial(32, 10.0, reached=True)]
    assert since_drift(once) == once


def test_a_size_that_is_not_offered_any_more_is_passed_over() -> None:
    gone = Trial(512, 1.0, reached=True)
    trials = play(valley(32), 20)
    assert BatchSizes(SIZES, 128).choose([gone]).cost_limit == float("inf")
    assert BatchSizes(SIZES, 128).choose([gone, *trials]).batch_size == 32


def test_an_unknown_default_is_refused() -> None:
    with pytest.raises(ValueError, match="not among"):
        BatchSizes(SIZES, 100)


def test_what_a_hopeless_run_goes_on_with_is_the_cheapest_that_is_offered() -> None:
    gone = Trial(64, 1.0, reached=True)
    trials = [Trial(128, 9.0, reached=True), Trial(256, 5.0, reached=True), gone]
    assert BatchSizes((128, 256, 512), 128).choose(trials).best_size == 256
    assert BatchSizes((128, 256, 512), 128).choose([gone]).best_size == 128
