"""Whether a lower precision is kept: from figures alone."""

from collections.abc import Mapping
from dataclasses import dataclass

SPEEDUP_MIN = 1.05  # less is within what two measurements of one file differ by


@dataclass(frozen=True)
class Candidate:
    accuracy: float | None  # None: this runtime does not execute it
    accuracy_drop: float | None  # fp32 minus this one
    speedup: float | None  # seconds of fp32 by seconds of this one
    kept: bool
    why: str


def decide(accuracy: float, accuracy_fp32: float, drop_max: float, speedup: float) -> Candidate:
    """Kept if it is accurate enough and quicker than fp32.

    Accuracies are of images that nothing was fitted to; the speedup is measured in turns.
    """
    drop = accuracy_fp32 - accuracy
    accurate, quicker = drop <= drop_max, speedup >= SPEEDUP_MIN
    if not accurate:
        why = f"loses {drop:.4f} of accuracy, {drop_max:g} is allowed"
    elif not quicker:
        why = f"gains no time: {speedup:.2f} times the speed of fp32 on this runtime"
    else:
        why = f"{speedup:.2f} times quicker than fp32, loses {drop:.4f} of accuracy"
    return Candidate(accuracy, drop, speedup, accurate and quicker, why)


def refused(why: str) -> Candidate:
    """The runtime does not execute it."""
    return Candidate(None, None, None, False, why)


def fastest(candidates: Mapping[str, Candidate]) -> str:
    """The quickest of those kept; `fp32` where there is none."""
    speedups = {name: one.speedup or 0 for name, one in candidates.items() if one.kept}
    return max(speedups, key=lambda name: speedups[name], default="fp32")
