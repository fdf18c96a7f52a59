"""What making a network takes: kWh and grams as metered, and time against the teacher's fit."""

from collections.abc import Mapping
from contextlib import chdir
from pathlib import Path
from typing import Any

from benchmarks.chains import CHAIN, Pipeline
from lowtide.clock import SystemClock
from lowtide.evaluation.chain import TEACHER
from lowtide.params import load_params
from lowtide.training.estimate import estimate_hours

Row = dict[str, Any]


def making_of(
    taught_by: Pipeline, chains: Mapping[str, Pipeline], bought: Mapping[str, Row]
) -> dict[str, Row]:
    """kWh and grams that each took beyond the teacher's training; that of the teacher itself; of
    ours also `making_time_ratio`."""

    def used(pipeline: Pipeline, stages: tuple[str, ...]) -> Row:
        return {
            f"making_{key}": pipeline.used(stages, key) for key in ("energy_kwh", "emissions_g")
        }

    peers = {
        name: {f"making_{key}": one[key] for key in ("energy_kwh", "emissions_g")}
        for name, one in bought.items()
    }
    ours = {
        f"{name}: chosen": {**used(made, CHAIN), "making_time_ratio": _fits_to_teacher(made)}
        for name, made in chains.items()
    }
    return {TEACHER: used(taught_by, ("train",)), **ours, **peers}


def _fits_to_teacher(made: Pipeline) -> float:
    """Time of the chain's fits over that of the teacher's, by steps that are timed here and epochs
    that were done: of work that was done on another machine, or beside other work, energy does not
    compare."""
    with chdir(made.folder):
        params = load_params(Path("params.yaml"))
        hours = estimate_hours(params, SystemClock())
    planned = {one: getattr(params, one).epochs for one in ("train", "distill", "prune")}
    done = {
        one: hours[one] * made.report(one)["epochs"] / num for one, num in planned.items() if num
    }
    return float((sum(done.values()) - done["train"]) / done["train"])
