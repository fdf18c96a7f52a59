"""params.yaml as frozen types: every key required, unknown keys refused, no defaults in code."""

from pathlib import Path
from typing import Annotated, Any, TypeVar

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
from lowtide.params.refusal import first_refusal
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
        raise ParamsError(f"{path}: {first_refusal(error, kind, content)}") from None


def _said_by_yaml(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return " ".join(str(error).split())
    said = getattr(error, "problem", None) or getattr(error, "context", "")
    return f"line {mark.line + 1}, column {mark.column + 1}: {said}"
