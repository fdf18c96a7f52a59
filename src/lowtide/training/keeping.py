"""Whether a teacher's answers are worth keeping: from what asking and reading take here, measured.

A table of answers is written once and read in each epoch. It is kept where that takes fewer joules
than asking the teacher each time, or less time where joules are not resolved.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

from lowtide.energy.sources import KWH_IN_J, resolution_s
from lowtide.energy.totals import Totals, Window

TURN_S = 0.2  # longer than two updates of most counters
SHARE = 0.01  # of what asking takes in all: the measuring costs no more, and resolves less if so


@dataclass(frozen=True)
class Demand:
    """Answers that will be needed, and how many of those have to be asked if they are kept."""

    num_asked: int
    num_needed: int


@dataclass(frozen=True)
class Cost:
    """Of one image. joules: None where they are not resolved."""

    seconds: float
    joules: float | None


@dataclass(frozen=True)
class Keeping:
    """The decision and its figures. basis: by which figures it was taken, or why without."""

    kept: bool
    num_asked: int
    num_needed: int
    basis: str
    ask_s_per_image: float | None = None
    read_s_per_image: float | None = None
    ask_j_per_image: float | None = None
    read_j_per_image: float | None = None

    def __str__(self) -> str:
        kept = "kept" if self.kept else "not kept"
        text = f"the teacher's answers are {kept} ({self.basis}): {self.num_needed} needed"
        if self.ask_s_per_image is None or self.read_s_per_image is None:
            return text
        asked, read = 1e6 * self.ask_s_per_image, 1e6 * self.read_s_per_image
        return f"{text}, {self.num_asked} different; asking {asked:.3g} us, reading {read:.3g} us"


def demand(
    epochs: Sequence[int],
    num_views: int,
    num_images: int,
    per_epoch: int,
    views_per_answer: int = 1,
) -> Demand:
    """Of fits that begin with view 0 each, of `per_epoch` of `num_images` images an epoch."""
    num_needed = sum(epochs) * per_epoch
    different = ceil(min(num_views, max(epochs)) / views_per_answer) * num_images
    return Demand(min(different, num_needed), num_needed)


def decide(needed: Demand, ask: Cost, read: Cost, provenance: str) -> Keeping:
    """Kept if asking once and reading each time costs less than asking each time.

    An answer that is asked is looked for and written as well: as much as two readings.
    """
    in_joules = ask.joules is not None and read.joules is not None
    each = (ask.joules, read.joules) if in_joules else (ask.seconds, read.seconds)
    asking, reading = (value or 0.0 for value in each)
    kept = needed.num_asked * (asking + reading) + needed.num_needed * reading
    return Keeping(
        kept < needed.num_needed * asking, needed.num_asked, needed.num_needed,
        f"joules, {provenance}" if in_joules else "busy time",
        ask.seconds, read.seconds, ask.joules, read.joules,
    )  # fmt: skip


def without_measuring(needed: Demand, num_bytes: int, largest_bytes: int) -> Keeping | None:
    """Not kept, where no figure is needed to know; else None."""
    if needed.num_asked >= needed.num_needed:
        return _not_kept(needed, "no answer is needed twice")
    if num_bytes > largest_bytes:
        return _not_kept(needed, f"{num_bytes} bytes are more than the {largest_bytes} of a table")
    return None


def _not_kept(needed: Demand, basis: str) -> Keeping:
    return Keeping(False, needed.num_asked, needed.num_needed, basis)


def turn_s(ask_s: float, num_batches: float) -> float:
    """How long each of the two is measured, where asking for one batch takes `ask_s`."""
    return min(TURN_S, SHARE * num_batches * ask_s)


def measure(once: Callable[[], object], num_images: int, seconds: float, window: Window) -> Cost:
    """What one image takes where `once` does `num_images`, over at least `seconds`."""
    window.sample()
    before, started = window.totals(), time.perf_counter()
    num_runs = 0
    while num_runs == 0 or time.perf_counter() - started < seconds:
        once()
        num_runs += 1
    elapsed_s = time.perf_counter() - started
    window.sample()
    joules = _joules(before, window.totals(), elapsed_s)
    each = num_runs * num_images
    return Cost(elapsed_s / each, None if joules is None else joules / each)


def _joules(before: Totals, after: Totals, elapsed_s: float) -> float | None:
    """None where energy is unknown, or some source may not have looked anew meanwhile."""
    resolutions = [resolution_s(part.source) for part in after.components.values()]
    if before.energy_kwh is None or after.energy_kwh is None:
        return None
    if any(each is None or elapsed_s < 2 * each for each in resolutions):
        return None
    return (after.energy_kwh - before.energy_kwh) * KWH_IN_J
