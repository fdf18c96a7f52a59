"""Images, networks, and how the teacher is trained."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lowtide.params.constraints import Count, Fraction, NonNegative, Positive, Scale, Section, Share


class DataParams(Section):
    source: Literal["digits", "parquet", "imagefolder", "npz"]
    path: Path | None
    test_path: Path | None
    val_fraction: Annotated[float, Field(gt=0, lt=1)]
    test_fraction: Annotated[float, Field(gt=0, lt=1)]
    image_size: tuple[Count, Count] | None
    skip_bad: bool


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
