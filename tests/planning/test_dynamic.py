"""The dynamic programme against exhaustive search, its bound, and what pausing costs."""

from math import inf

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lowtide.planning.dynamic import Use, cheapest_slots, num_resumes, plan_cost
from lowtide.planning.greedy import least_grams
from lowtide.planning.profile import Level, WorkProfile
from lowtide.planning.table import State

ONE = (Level(1.0, 1.0, 1.0),)
TWO = (Level(1.0, 1.0, 1.0), Level(2.0, 1.5, 2.0))
STEEP = (Level(1.0, 1.0, 1.0), Level(4.0, 1.5, 4.0))
costs = st.lists(st.floats(1, 500), min_size=3, max_size=6).map(np.array)
profiles = st.builds(
    WorkProfile,
    levels=st.sampled_from([ONE, TWO, STEEP]),
    resume_hours=st.sampled_from([0.0, 0.5, 1.0]),
    idle_power=st.sampled_from([0.0, 0.2]),
)
works = st.sampled_from([0.5, 1.0, 1.5, 2.0, 3.0])


def exhaustive(cost: np.ndarray, work: float, profile: WorkProfile, state: State) -> float:
    """Every choice in halves of a slot, one after the other, without tables."""

    def best(slot: int, state: str, left: float) -> float:
        if left <= 1e-9:
            return 0.0
        if slot == len(cost):
            return inf
        idle = 0.0 if state == "fresh" else profile.idle_power * cost[slot]
        found = idle + best(slot + 1, "fresh" if state == "fresh" else "paused", left)
        for level in profile.levels:
            found = min(found, run(slot, state, left, level, idle))
        return found

    def run(slot: int, state: str, left: float, level: Level, idle: float) -> float:
        found, free = inf, state != "running" or profile.resume_hours == 0
        todo = left + (profile.resume_hours if state == "paused" else 0.0)
        for halves in range(1, round(level.throughput * 2) + 1):
            done = halves / 2
            share = done / level.throughput
            if done > todo + 1e-9 or (share < 1 and todo - done > 1e-9 and not free):
                continue
            finished = todo - done <= 1e-9
            waited = 0.0 if finished else idle * (1 - share)
            here = cost[slot] * level.power * share + waited
            found = min(found, here + best(slot + 1, "running", todo - done))
        return found

    return best(0, state, work)


def solve(
    cost: np.ndarray,
    work: float,
    profile: WorkProfile,
    state: State = "fresh",
    pausing: bool = True,
) -> tuple[Use, ...]:
    return cheapest_slots(cost, work, profile, 1.0, state=state, pausing=pausing)


@settings(max_examples=150, deadline=None)
@given(costs, works, profiles, st.sampled_from(["fresh", "paused", "running"]))
def test_equals_exhaustive_search(
    cost: np.ndarray, work: float, profile: WorkProfile, state: State
) -> None:
    best = exhaustive(cost, work, profile, state)
    if best == inf:
        with pytest.raises(ValueError, match="do not fit"):
            solve(cost, work, profile, state)
        return
    uses = solve(cost, work, profile, state)
    assert plan_cost(cost, uses, profile, state=state) == pytest.approx(best, rel=1e-6)


@given(costs, works, profiles)
def test_nothing_beats_the_greedy_bound(
    cost: np.ndarray, work: float, profile: WorkProfile
) -> None:
    assume(exhaustive(cost, work, profile, "fresh") < inf)
    uses = solve(cost, work, profile)
    assert plan_cost(cost, uses, profile) >= least_grams(cost, work, profile, 1.0) - 1e-6


@given(costs, works, st.sampled_from([ONE, TWO]))
def test_reaches_the_greedy_bound_where_pausing_is_free_and_one_level_is_enough(
    cost: np.ndarray, work: float, levels: tuple[Level, ...]
) -> None:
    """One level: the k cheapest slots, the dearest of them in part."""
    profile = WorkProfile(levels[:1])
    assume(work <= len(cost))
    bound = least_grams(cost, work, profile, 1.0)
    assert plan_cost(cost, solve(cost, work, profile), profile) == pytest.approx(bound, rel=1e-6)


@given(costs, works, profiles)
def test_is_never_worse_than_any_contiguous_start(
    cost: np.ndarray, work: float, profile: WorkProfile
) -> None:
    assume(exhaustive(cost, work, profile, "fresh") < inf)
    block = solve(cost, work, profile, pausing=False)
    free = solve(cost, work, profile)
    assert num_resumes(block) == 0
    assert plan_cost(cost, free, profile) <= plan_cost(cost, block, profile) * (1 + 1e-6)


def followed(cost: np.ndarray, wanted: np.ndarray, work: float, profile: WorkProfile) -> float:
    """What emits who works in the wanted slots, and in all of them once the time is short; inf
    where even that is too late."""
    uses: list[Use] = []
    left, running = work, False
    for slot in range(len(cost)):
        loss = 0.0 if running or not uses else profile.resume_hours
        short = left + max(loss, profile.resume_hours) > len(cost) - slot - 1
        if left <= 1e-9 or not (wanted[slot] or short):
            running = False
            continue
        share = min(1.0, left + loss)
        left, running = left + loss - share, True
        uses.append(Use(slot, 0, share))
    return inf if left > 1e-9 else plan_cost(cost, uses, profile)


@settings(max_examples=300, deadline=None)
@given(costs, works, profiles, st.sampled_from([0.2, 0.4, 0.6]))
def test_is_never_worse_than_greedy_or_a_threshold(
    cost: np.ndarray, work: float, profile: WorkProfile, quantile: float
) -> None:
    """Greedy: the cheapest slots, however often that resumes, and one more while it is too few."""
    profile = WorkProfile(ONE, profile.resume_hours, profile.idle_power)
    assume(work <= len(cost))
    planned = plan_cost(cost, solve(cost, work, profile), profile)
    rank = cost.argsort(kind="stable").argsort(kind="stable")
    others = [followed(cost, rank < num, work, profile) for num in range(1, len(cost) + 1)]
    others.append(followed(cost, cost <= np.quantile(cost, quantile), work, profile))
    assert min(others) < inf
    assert planned <= min(others) * (1 + 1e-6)


@settings(max_examples=300, deadline=None)
@given(costs, works, st.sampled_from([0.5, 1.0]))
def test_pauses_the_less_the_more_a_resume_costs(
    cost: np.ndarray, work: float, resume_hours: float
) -> None:
    """All resumes together lose no more than pausing can save: twice the loss, half the pauses."""
    assume(work <= len(cost))
    profile = WorkProfile(ONE, resume_hours)
    uses = solve(cost, work, profile)
    most = plan_cost(cost, solve(cost, work, profile, pausing=False), profile)
    saved = most - least_grams(cost, work, profile, 1.0)
    assert num_resumes(uses) * resume_hours * cost.min() <= saved * (1 + 1e-6) + 1e-6


def test_does_not_scale_up_where_the_marginal_throughput_per_watt_is_poor() -> None:
    """Four times the power for half as much again: only a deadline makes that right."""
    profile = WorkProfile(STEEP)
    cost = np.array([100.0, 300.0, 300.0, 110.0])
    assert {use.level for use in solve(cost, 2.0, profile)} == {0}
    assert {use.level for use in solve(cost[:2], 3.0, profile)} == {1}


def test_scales_up_in_clean_slots_where_it_pays() -> None:
    uses = solve(np.array([50.0, 300.0, 300.0]), 1.5, WorkProfile(TWO))
    assert [(use.slot, use.level) for use in uses] == [(0, 1)]
