"""When a new plan is worth a change, and how far one may go at once."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from lowtide.placement.model import Steps
from lowtide.placement.plan import Plan
from lowtide.placement.problem import Problem
from lowtide.placement.sites import Hysteresis
from lowtide.placement.solve import Placement, attempt, solve
from lowtide.placement.survive import shortages
from lowtide.placement.weights import WHOLE

ROUNDING = 1.0 / WHOLE  # of a share, in live weights
NOTHING = 1e-6  # of emissions: what the solver's tolerances may make of none


@dataclass(frozen=True)
class Decision:
    """`kept`: the live shares stay, for even the best ones save too little, or no step saves
    anything. `moved`: to the best within a step. `replaced` by the best at once, for there were no
    live shares or no step keeps the rules."""

    action: Literal["kept", "moved", "replaced"]
    placement: Placement
    saving: float | None  # of what the live shares would emit; None without them
    reason: str


def decide(problem: Problem, live: Plan | None, rules: Hysteresis) -> Decision:
    """Raises:
    CapacityError: no shares keep the rules.
    """
    best = solve(problem)
    present = None if live is None else _present(problem, live)
    if live is None or present is None:
        return Decision("replaced", best, None, "there are no live shares to go from")
    broken = _gone(problem, live) or _broken_rule(present)
    saving = _saving(present, best)
    if broken is None and saving <= rules.saving_min:
        reason = f"the best saves {saving:.1%}, not more than {rules.saving_min:.1%}"
        return Decision("kept", present, saving, reason)
    moved = attempt(problem, _steps(present.shares, rules.step_max))
    if moved is None:
        reason = f"{broken or f'saves {saving:.1%}'}; no step of {rules.step_max:g} keeps the rules"
        return Decision("replaced", best, saving, reason)
    return _step(present, moved, rules.step_max, broken)


def _step(present: Placement, moved: Placement, step_max: float, broken: str | None) -> Decision:
    """Opening a site may cost more than what one step to it saves."""
    saving = _saving(present, moved)
    if broken is None and saving < NOTHING:
        reason = f"no step of {step_max:g} saves anything: raise hysteresis.step_max"
        return Decision("kept", present, saving, reason)
    return Decision("moved", moved, saving, broken or f"saves {saving:.1%}")


def _saving(present: Placement, other: Placement) -> float:
    before = present.emissions_g_per_hour
    return 1 - other.emissions_g_per_hour / before if before > 0 else 0.0


def _present(problem: Problem, live: Plan) -> Placement | None:
    """The live plan as a placement; None where a group has no share at any site."""
    shares = np.array(
        [
            [live.shares.get(group, {}).get(site, 0.0) for site in problem.sites]
            for group in problem.groups
        ]
    )
    whole = shares.sum(axis=1, keepdims=True)
    if (whole == 0).any():
        return None
    is_open = np.array([site in live.open_sites for site in problem.sites])
    return Placement(problem, shares / whole, (shares > 0).any(axis=0) | is_open, np.nan)


def _gone(problem: Problem, live: Plan) -> str | None:
    """Sites of the live plan that are not among the problem's: taken out, or without intensity."""
    gone = sorted(live.open_sites - set(problem.sites))
    return f"{', '.join(gone)} may serve no longer" if gone else None


def _steps(live: np.ndarray, step: float) -> Steps:
    return Steps(np.maximum(live - step, 0.0), np.minimum(live + step, 1.0))


def _broken_rule(present: Placement) -> str | None:
    """Which rule the live shares break in this hour, beyond the rounding of weights."""
    problem, rules = present.problem, present.problem.availability
    slack = ROUNDING * problem.total_per_s * (1 + 1e-6)
    if (present.shares[~problem.reach] > 0).any():
        return "live shares lie beyond a latency limit"
    over = problem.load_per_s(present.shares) - problem.capacity_per_s
    if (over > slack).any():
        return f"{problem.sites[int(over.argmax())]} would be over its capacity"
    if (problem.site_shares(present.shares) > rules.share_max + ROUNDING * (1 + 1e-6)).any():
        return "a site would have more than its largest share"
    if rules.survive_one_loss and shortages(problem, present.is_open):
        return "a loss could not be made up for"
    return None
