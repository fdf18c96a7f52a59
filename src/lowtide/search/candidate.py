"""A network as it would be served: exported, in int8 too, and probed beside a reference file."""

from dataclasses import dataclass
from pathlib import Path

from lowtide import artifacts
from lowtide.compression import compare
from lowtide.data.arrays import load_split
from lowtide.errors import MeterError
from lowtide.params import Params
from lowtide.stages.served import FLOAT, INT8, Files, opened, take_turns


@dataclass(frozen=True)
class Reference:
    """What joules are compared with: the teacher, or the network as params.yaml has it.

    `accuracy`: on validation images; None for one that is not trained.
    """

    path: Path
    accuracy: float | None


@dataclass(frozen=True)
class Joules:
    """Per inference of the reference, measured in turns, and of each file over the reference's."""

    reference_j: float
    ratios: dict[str, float]

    @property
    def least(self) -> tuple[str, float]:
        """The file with the least joules, and its ratio."""
        return min(self.ratios.items(), key=lambda item: item[1])


def joules(paths: Files, reference: Reference, params: Params) -> Joules:
    """In a window of its own: of this process. MeterError where nothing can tell joules."""
    files = {"reference": reference.path, **paths}
    models = {name: opened(path, params) for name, path in files.items()}
    turns = take_turns(models, params, params.search.num_repeats)
    found = {name: taken.inference_energy_j for name, taken in turns.items()}
    known = {name: value for name, value in found.items() if value}
    if len(known) < len(found):
        raise MeterError("joules per inference are unknown here: see `lowtide doctor`")
    reference_j = known.pop("reference")
    return Joules(reference_j, {name: value / reference_j for name, value in known.items()})


def accuracy(path: Path, params: Params) -> float:
    """Of a file on validation images."""
    return compare.accuracy(opened(path, params), load_split(artifacts.DATA, "val"))


def acceptable(paths: Files, params: Params) -> dict[str, float]:
    """Accuracy of the float file, and of the int8 file unless it has lost too much."""
    found = {name: accuracy(path, params) for name, path in paths.items()}
    if INT8 in found and found[FLOAT] - found[INT8] > params.quantize.val_accuracy_drop_max:
        del found[INT8]
    return found
