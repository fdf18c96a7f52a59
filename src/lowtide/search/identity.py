"""What a study is of: two searches go on with one study only where all of it is the same."""

import json
from pathlib import Path

from lowtide import artifacts
from lowtide.data.card import load_card
from lowtide.errors import UsageError
from lowtide.params import Params
from lowtide.search.space import SECTIONS, Space
from lowtide.search.study import Study

IDENTITY = "identity"
SHORT = 12  # characters of a digest
PROBED_BY = ("batch_size", "num_threads", "provider")  # of `evaluate`
OF_RUNS = ("recurring", "eta", "power_limits")  # of `controller`, which a search leaves alone
STEERED_BY = ("training_emissions_g_max", "training_energy_kwh_max", "inference_energy_j_max")


def identity(params: Params, space: Space) -> dict[str, str]:
    """By the name that a person would look for."""
    of = params.search.of
    return {
        "search.of": of,
        "search.space": _text(params.search.model_dump(mode="json")["space"]),
        "search.reduction": str(params.search.reduction),
        "search.rungs": str(params.search.rungs),
        "the budget's clock": "system" if params.carbon.replay_start is None else "replay",
        "the data": load_card(artifacts.DATA).sha256[:SHORT],
        **({"the teacher": _digest(artifacts.TEACHER)} if of == "student" else {}),
        f"model.{of}": getattr(params.model, of),
        **_fixed(params, space),
        **(_steering(params) if of == "teacher" else {}),
    }


def require_same(study: Study, ours: dict[str, str]) -> None:
    """UsageError, naming the first difference, where the study is of something else."""
    with study.alone():
        theirs = study.noted(IDENTITY)
        if theirs is None:
            study.note(IDENTITY, ours)
            return
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name) != theirs.get(name):
            raise UsageError(
                f"{study.name} is the study of another search: {name} is {theirs.get(name)} there "
                f"and {ours.get(name)} here; make them equal, or set search.study to another name"
            )


def _fixed(params: Params, space: Space) -> dict[str, str]:
    """What a trial depends on and the space leaves as it is."""
    return {
        f"{section}.{name}": _text(value)
        for section in SECTIONS[params.search.of]
        for name, value in getattr(params, section).model_dump(mode="json").items()
        if f"{section}.{name}" not in space.spreads
    } | {
        "seed": _text(params.seed),
        "export.preprocessing": _text(params.export.preprocessing),
        "quantize.val_accuracy_drop_max": _text(params.quantize.val_accuracy_drop_max),
        **{f"evaluate.{name}": _text(getattr(params.evaluate, name)) for name in PROBED_BY},
    }


def _steering(params: Params) -> dict[str, str]:
    """What a teacher's training depends on beside its recipe."""
    controller = params.controller.model_dump(mode="json", exclude=set(OF_RUNS))
    repeated = params.controller.decisions
    if repeated is not None and repeated.exists():
        controller["decisions"] = _digest(repeated)
    return {
        **{f"controller.{name}": _text(value) for name, value in controller.items()},
        **{f"objective.{name}": _text(value) for name, value in params.objective},
        **{f"budgets.{name}": _text(getattr(params.budgets, name)) for name in STEERED_BY},
    }


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def _digest(path: Path) -> str:
    return artifacts.file_sha256(path)[:SHORT]
