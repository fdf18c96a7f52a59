"""Which trials go on at a rung, and which are not worth training at all."""

from lowtide.search.front import Outcome
from lowtide.search.halving import goes_on, levels_g, losses_at, surpassed
from lowtide.search.study import Trial


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
