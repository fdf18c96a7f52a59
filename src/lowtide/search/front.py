"""Which trials are better than which: accuracy up, joules and grams down."""

from collections.abc import Sequence
from dataclasses import dataclass

Losses = tuple[float, ...]  # the less the better, each


@dataclass(frozen=True)
class Outcome:
    """Of a trial that is through. Accuracy of the exported file on validation images."""

    number: int
    accuracy: float
    energy_j: float  # per inference
    emissions_g: float

    @property
    def losses(self) -> Losses:
        return (-self.accuracy, self.energy_j, self.emissions_g)


def dominates(one: Losses, other: Losses) -> bool:
    """Nowhere worse, somewhere better."""
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


def ranks(points: Sequence[Losses]) -> list[int]:
    """0 for what nothing dominates, 1 for what only those of rank 0 do, and so on.

    Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II" (2002), III.A.
    """
    found: dict[int, int] = {}
    left, rank = set(range(len(points))), 0
    while left:
        front = {
            i for i in left if not any(dominates(points[j], points[i]) for j in left if j != i)
        }
        found |= dict.fromkeys(front, rank)
        left, rank = left - front, rank + 1
    return [found[i] for i in range(len(points))]


def pareto(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Those that none dominates, the most accurate first."""
    ranked = zip(outcomes, ranks([one.losses for one in outcomes]), strict=True)
    front = [one for one, rank in ranked if rank == 0]
    return sorted(front, key=lambda one: (-one.accuracy, one.energy_j))


def choose(outcomes: Sequence[Outcome], accuracy_min: float) -> Outcome | None:
    """The least joules among those that are accurate enough; the most accurate where none is."""
    enough = [one for one in outcomes if one.accuracy >= accuracy_min]
    if enough:
        return min(enough, key=lambda one: (one.energy_j, -one.accuracy, one.emissions_g))
    return max(outcomes, key=lambda one: (one.accuracy, -one.energy_j), default=None)
