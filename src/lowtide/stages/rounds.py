"""Where gradual pruning stands: a kill within a round goes on with the same cut."""

from dataclasses import asdict, dataclass, field
from typing import Any

from lowtide import artifacts
from lowtide.errors import ArtifactError
from lowtide.models.factory import Classifier, ModelSpec
from lowtide.models.weights import load_model, read_notes, save_model
from lowtide.params import PruneParams

PATH = artifacts.CHECKPOINTS / "prune-round.safetensors"  # the model as the round's cut left it


@dataclass
class Standing:
    """`cuts`: of all rounds so far. `fits`: figures of the fine-tuning that is through, one fewer
    while a round is under way. `history`: a row for each epoch of those.
    """

    run_id: str
    mark: str  # of everything that pruning depends on
    cuts: list[dict[str, Any]] = field(default_factory=list)
    fits: list[dict[str, Any]] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)

    def save(self, model: Classifier, spec: ModelSpec) -> None:
        save_model(PATH, model, spec, asdict(self))


def find_standing(mark: str) -> Standing | None:
    """That of the same work, or None."""
    notes = read_notes(PATH)
    return None if notes is None or notes["mark"] != mark else Standing(**notes)


def load_standing(mark: str) -> tuple[Standing, Classifier, ModelSpec] | None:
    standing = find_standing(mark)
    try:
        return None if standing is None else (standing, *load_model(PATH))
    except ArtifactError:  # damaged: pruning begins anew
        return None


def epochs_of(recipe: PruneParams, index: int) -> int:
    """Of fine-tuning after the cut `index`, counted from 0; what is over goes to the last ones."""
    each, over = divmod(recipe.epochs, recipe.rounds)
    return each + (index >= recipe.rounds - over)


def target_of(recipe: PruneParams, index: int) -> float:
    """Share of the multiply-adds after the cut `index`: each takes the same share of the rest."""
    return float(recipe.macs_fraction ** ((index + 1) / recipe.rounds))


def report(standing: Standing) -> dict[str, Any]:
    """Of all rounds as one, and of each."""
    cuts, fits = standing.cuts, standing.fits
    each = [
        {
            "macs_after": cut["macs_after"], "parameters_after": cut["parameters_after"],
            "sensitivity": cut["sensitivity"], "epochs": fit["epochs"], "accuracy": fit["accuracy"],
        }
        for cut, fit in zip(cuts, fits, strict=True)
    ]  # fmt: skip
    return {**_as_one_fit(fits), "pruning": {**_as_one_cut(cuts), "rounds": each}}


def _as_one_cut(cuts: list[dict[str, Any]]) -> dict[str, Any]:
    """From before the first to after the last; what it went by is that of the first."""
    before: dict[str, int] = {}
    after: dict[str, int] = {}
    for cut in cuts:
        before = {name: width for name, (width, _) in cut["channels"].items()} | before
        after |= {name: width for name, (_, width) in cut["channels"].items()}
    ends = {key: cuts[-1][key] for key in ("macs_after", "parameters_after")}
    return cuts[0] | ends | {"channels": {name: (before[name], after[name]) for name in before}}


def _as_one_fit(fits: list[dict[str, Any]]) -> dict[str, Any]:
    """The last one's figures, and sums."""
    summed = ("epochs", "restores", "num_pauses")
    return {
        **fits[-1],
        **{key: sum(fit[key] for fit in fits) for key in summed},
        "pauses": [pause for fit in fits for pause in fit["pauses"]],
        "resumed": any(fit["resumed"] for fit in fits),
    }
