"""params.yaml as frozen types: every key required, unknown keys refused, no defaults in code."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, Field, ValidationError

from lowtide.errors import ParamsError
from lowtide.params.carbon import CarbonParams, LiveName, ScheduleParams
from lowtide.params.compression import (
    CompressParams,
    DistillParams,
    ExportParams,
    Importance,
    PruneParams,
    QuantizeParams,
)
from lowtide.params.constraints import NonNegative, Positive, Section, Share
from lowtide.params.gate import BudgetParams, EvaluateParams
from lowtide.params.search import Choice, RangeParams, SearchParams
from lowtide.params.training import (
    ControllerParams,
    DataParams,
    FitParams,
    ModelParams,
    ObjectiveParams,
    TrainParams,
)

__all__ = [
    "BudgetParams", "CarbonParams", "Choice", "CompressParams", "DataParams", "DistillParams",
    "EvaluateParams", "FitParams", "Importance", "LiveName", "NonNegative", "ObjectiveParams",
    "Params", "Positive", "PruneParams", "QuantizeParams", "RangeParams", "ScheduleParams",
    "Section", "Share", "TrainParams", "load_checked", "load_params",
]  # fmt: skip

UNKNOWN_KEY = "extra_forbidden"  # as pydantic calls it


class Params(Section):
    seed: Annotated[int, Field(ge=0)]
    data: DataParams
    carbon: CarbonParams
    schedule: ScheduleParams
    objective: ObjectiveParams
    controller: ControllerParams
    model: ModelParams
    train: TrainParams
    compress: CompressParams
    distill: DistillParams
    prune: PruneParams
    quantize: QuantizeParams
    export: ExportParams
    evaluate: EvaluateParams
    budgets: BudgetParams
    search: SearchParams


def load_params(path: Path) -> Params:
    """Read and check a params file.

    Raises:
        ParamsError: as `load_checked`.
    """
    return load_checked(path, Params)


Checked = TypeVar("Checked", bound=BaseModel)


class _Loader(yaml.SafeLoader):
    """Refuses a key that is given twice; of those YAML would take the last."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key in [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]:
            if key.value in seen:
                said = f"{key.value} is given twice"
                raise yaml.MarkedYAMLError(problem=said, problem_mark=key.start_mark)
            seen.add(key.value)
        return node


def load_checked(path: Path, kind: type[Checked]) -> Checked:
    """Read a YAML file and check it.

    Raises:
        ParamsError: the file is missing, is no YAML, or has an unknown key, a missing key, a key
            twice or a value of the wrong type; names the first such key.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except OSError as error:
        raise ParamsError(f"{path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, ValueError) as error:  # text that is none, dates that are none
        raise ParamsError(f"{path} is not valid YAML: {_said_by_yaml(error)}") from None
    if not isinstance(content, dict):
        held = "it is empty" if content is None else f"it holds {content!r:.40}"
        raise ParamsError(f"{path}: {held}, and not sections like {next(iter(kind.model_fields))}:")
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise ParamsError(f"{path}: {_first_of(error, kind)}") from None


def _said_by_yaml(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return " ".join(str(error).split())
    said = getattr(error, "problem", None) or getattr(error, "context", "")
    return f"line {mark.line + 1}, column {mark.column + 1}: {said}"


def _first_of(error: ValidationError, kind: type[BaseModel]) -> str:
    """An unknown key first: where one is misspelt, its right name is missing as well."""
    found = sorted(error.errors(), key=lambda one: one["type"] != UNKNOWN_KEY)
    first, others = found[0], len({_whole_key_of(one["loc"]) for one in found}) - 1
    more = f"; {others} more" if others else ""
    key = _key_of(first["loc"]) or "the top level"
    if first["type"] == UNKNOWN_KEY:
        *section, name = key.split(".")
        near = get_close_matches(name, _keys_of(section, kind), n=1)
        return f"{key}: no such key{f'; did you mean {near[0]}?' if near else more}"
    said = first["msg"].replace("a valid tuple", "a list").removeprefix("Value error, ")
    whole = first["type"] == "missing" or isinstance(first["input"], dict)
    value = "" if whole else f" (found {first['input']!r})"
    return f"{key}: {said}{value}{more}"


def _key_of(place: Sequence[int | str]) -> str:
    """As it is written in the file: without the types that pydantic has tried."""
    return ".".join(str(part) for part in place if not str(part)[:1].isupper())


def _whole_key_of(place: Sequence[int | str]) -> str:
    """The same key in several members of a list counts once."""
    return _key_of([part for part in place if not isinstance(part, int)])


def _keys_of(section: Sequence[str], model: type[BaseModel]) -> list[str]:
    for name in section:
        field = model.model_fields.get(name)
        inner = field and next(
            (one for one in (field.annotation, *get_args(field.annotation)) if _is_model(one)), None
        )
        if inner is not None:
            model = inner
        elif field is not None:
            return []
    return list(model.model_fields)


def _is_model(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
