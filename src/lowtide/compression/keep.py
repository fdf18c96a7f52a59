"""Whether a lower precision is kept: from figures alone."""

from collections.abc import Mapping
from dataclasses import dataclass

GAIN_MIN = 1.05  # times less; a smaller gain is within what two measurements of one file differ by


@dataclass(frozen=True)
class Candidate:
    accuracy: float | None  # None: this runtime does not execute it
    accuracy_drop: float | None  # fp32 minus this one
    times_less: float | None  # than fp32: joules an inference, or time where they are unknown
    kept: bool
    why: str


def decide(accuracy: float, accuracy_fp32: float, drop_max: float, times_less: float) -> Candidate:
    """Kept if it is accurate enough and takes less than fp32.

    Accuracies are of images that nothing was fitted to; what they take is measured in turns.
    """
    drop = accuracy_fp32 - accuracy
    accurate, pays = drop <= drop_max, times_less >= GAIN_MIN
    if not accurate:
        why = f"loses {drop:.4f} of accuracy, {drop_max:g} is allowed"
    elif not pays:
        why = f"saves nothing: takes {times_less:.2f} times less than fp32 on this runtime"
    else:
        why = f"takes {times_less:.2f} times less than fp32, loses {drop:.4f} of accuracy"
    return Candidate(accuracy, drop, times_less, accurate and pays, why)


def refused(why: str) -> Candidate:
    """The runtime does not execute it."""
    return Candidate(None, None, None, False, why)


def cheapest(candidates: Mapping[str, Candidate]) -> str:
    """That of those kept which takes least; `fp32` where there is none."""
    gains = {name: one.times_less or 0 for name, one in candidates.items() if one.kept}
    return max(gains, key=lambda name: gains[name], default="fp32")
