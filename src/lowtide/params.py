"""params.yaml as frozen types: every key required, unknown keys refused, no defaults in code."""

from collections.abc import Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar, get_args

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from lowtide.errors import ParamsError

Fraction = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Scale = Annotated[float, Field(gt=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Latitude = Annotated[float, Field(ge=-90, le=90)]
Longitude = Annotated[float, Field(ge=-180, le=180)]
Count = Annotated[int, Field(ge=1)]
UNKNOWN_KEY = "extra_forbidden"  # as pydantic calls it


def _as_utc(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        raise ValueError("needs a time zone, for example 2022-04-14T03:00:00Z")
    return instant.astimezone(UTC)


UtcInstant = Annotated[datetime, AfterValidator(_as_utc)]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataParams(Section):
    source: Literal["digits", "parquet", "imagefolder", "npz"]
    path: Path | None
    test_path: Path | None
    val_fraction: Annotated[float, Field(gt=0, lt=1)]
    test_fraction: Annotated[float, Field(gt=0, lt=1)]
    image_size: tuple[Count, Count] | None
    skip_bad: bool


PublicName = Literal["gb", "electricity-maps", "watttime", "energy-charts"]
LiveName = Literal[PublicName, "carbon-aware-sdk"]


class WeatherParams(Section):
    """(latitude, longitude) in degrees of places whose weather moves the grid."""

    places: Annotated[tuple[tuple[Latitude, Longitude], ...], Field(min_length=1)]
    base_url: str | None


class CarbonParams(Section):
    zone: Annotated[str, Field(min_length=1)]
    source: Literal["auto", "trace", "typical", LiveName]
    second_source: PublicName | None
    base_url: str | None
    constant_g_per_kwh: Annotated[float, Field(ge=0, le=3000)] | None
    weather: WeatherParams | None
    trace: str | None
    replay_start: UtcInstant | None
    replay_speed: Positive
    pue: Annotated[float, Field(ge=1)]


class ScheduleParams(Section):
    deadline_hours: NonNegative
    levels: tuple[NonNegative, ...]
    throughput: tuple[NonNegative, ...] | None
    slot_minutes: Count
    resume_minutes: NonNegative
    idle_power: Share
    max_in_process_pause_minutes: NonNegative
    release_memory: bool  # of the GPU, in a pause of training

    def all_or_nothing(self) -> Self:
        """The same for work that runs at full power or not at all, as training does."""
        return self.model_copy(update={"levels": (0.0, 1.0), "throughput": None})

    @model_validator(mode="after")
    def _throughput_for_each_level(self) -> Self:
        if self.throughput is not None and len(self.throughput) != len(self.levels):
            raise ValueError(
                f"{len(self.throughput)} throughputs for {len(self.levels)} levels: give one each"
            )
        if not any(level > 0 for level in self.levels):
            raise ValueError("levels has nothing above 0: add 1.0, full power")
        return self


class ObjectiveParams(Section):
    alpha: NonNegative
    beta: NonNegative
    gamma: NonNegative

    @model_validator(mode="after")
    def _learns_something(self) -> Self:
        if self.alpha == 0:
            raise ValueError(
                "alpha 0 leaves accuracy out: training would learn nothing; set it to 1"
            )
        return self


class ControllerParams(Section):
    """The levers of training, each of which can be taken away."""

    batch_sizes: tuple[Count, ...]  # to choose from; empty: train.batch_size throughout
    land: bool
    epochs_min: Count
    accuracy_target: Share | None
    image_scale: Scale
    gates: bool
    energy_share_min: Annotated[float, Field(gt=0, le=1)]
    round_to: Count
    recurring: Annotated[str, Field(min_length=1)] | None  # a job's name
    eta: Share  # of energy against time, in what runs and limits cost; 1: energy alone
    power_limits: Annotated[int, Field(ge=0)]  # of the GPU, to be measured; 0: as it is
    decisions: Path | None

    @model_validator(mode="after")
    def _recurring_has_a_target(self) -> Self:
        if self.recurring is not None and (self.accuracy_target is None or not self.batch_sizes):
            raise ValueError(
                "recurring compares what runs cost to reach an accuracy: set accuracy_target and "
                "batch_sizes, or recurring to null"
            )
        return self


class ModelParams(Section):
    teacher: str
    student: str | None  # None: the teacher's architecture, beginning with its weights


class FitParams(Section):
    """What every fit by gradient descent needs."""

    epochs: Count
    batch_size: Count
    learning_rate: Positive  # the peak of the cycle
    schedule: Literal["cycle", "constant"]
    momentum: Fraction
    weight_decay: NonNegative
    augment: Literal["none", "shift", "flip-shift"]
    precision: Literal["auto", "fp32", "bf16"]


class TrainParams(FitParams):
    label_smoothing: Fraction


class CompressParams(Section):
    """How far compression goes; what does not pay is rolled back."""

    energy_ratio_min: Positive | None
    val_accuracy_drop_max: NonNegative
    roll_back: bool  # False: what was made stays, whatever it saves
    num_repeats: Annotated[int, Field(ge=2)]


class DistillParams(FitParams):
    temperature: Positive
    soft_weight: Share
    feature_weight: NonNegative  # of the distance between last features; 0: logits alone
    views: Count | None  # augmented views whose teacher answers are kept; None: ask each time
    image_scale: Scale  # the teacher answers whole images


Importance = Literal["l2", "taylor", "bn-scale", "gates"]


class PruneParams(DistillParams):
    macs_fraction: Annotated[float, Field(gt=0, le=1)]
    round_to: Literal["auto"] | Count
    importance: Importance
    importance_batches: Count  # of training images, where importance needs gradients
    sensitivity_images: Count | None  # of validation; None: importance alone decides
    rounds: Count  # cuts, each followed by its share of the epochs

    @model_validator(mode="after")
    def _an_epoch_for_each_round(self) -> Self:
        if self.rounds > self.epochs:
            raise ValueError(
                f"{self.rounds} rounds in {self.epochs} epochs: each needs one, lower rounds"
            )
        return self


class QuantizeParams(Section):
    calibration_images: Count
    method: Literal["auto", "minmax", "entropy", "percentile"]
    sensitivity_layers: Annotated[int, Field(ge=0)]  # measured one by one, the slowest first
    val_accuracy_drop_max: NonNegative


class ExportParams(Section):
    opset: Annotated[int, Field(ge=18)]
    preprocessing: Literal["inside", "outside"]  # of the graph: normalisation of the pixels
    parity_tolerance: Positive


class EvaluateParams(Section):
    batch_size: Count
    num_repeats: Annotated[int, Field(ge=2)]
    num_threads: Count | None
    provider: Literal["auto", "cpu", "cuda"]  # of ONNX Runtime


class BudgetParams(Section):
    accuracy_min: Share
    accuracy_drop_max: NonNegative
    worst_class_recall_min: Share
    calibration_error_max: Share
    onnx_agreement_min: Share
    champion_drop_max: NonNegative
    robustness_drop_max: NonNegative
    confidence: Annotated[float, Field(gt=0, lt=1)]
    training_emissions_g_max: NonNegative
    training_energy_kwh_max: NonNegative
    inference_energy_j_max: Positive
    latency_ms_p95_max: NonNegative
    model_size_bytes_max: NonNegative
    expected_inferences: NonNegative


Choice = bool | int | float | str


class RangeParams(Section):
    """From `low` to `high`, both included; whole numbers where both are. `log`: evenly spread over
    orders of magnitude."""

    low: int | float
    high: int | float
    step: Positive | None = None
    log: bool = False


class SearchParams(Section):
    study: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]  # by which workers find each other
    of: Literal["student", "teacher"]
    space: Annotated[dict[str, RangeParams | tuple[Choice, ...]], Field(min_length=1)]
    storage: str | None  # None: SQLite in the checkout, for one process
    rungs: Count
    reduction: Annotated[int, Field(ge=2)]  # of the trials at a rung one in so many goes on
    num_repeats: Annotated[int, Field(ge=2)]  # turns of a probe


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


def load_checked(path: Path, kind: type[Checked]) -> Checked:
    """Read a YAML file and check it.

    Raises:
        ParamsError: the file is missing, is no YAML, or has an unknown key, a missing key or
            a value of the wrong type; names the first such key.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ParamsError(f"{path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise ParamsError(f"{path}: {_first_of(error, kind)}") from None


def _first_of(error: ValidationError, kind: type[BaseModel]) -> str:
    """An unknown key first: where one is misspelt, its right name is missing as well."""
    found = sorted(error.errors(), key=lambda one: one["type"] != UNKNOWN_KEY)
    first, more = found[0], f"; {len(found) - 1} more" if len(found) > 1 else ""
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
