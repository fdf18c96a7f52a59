"""What makes the network smaller, and the files that are published."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lowtide.params.constraints import Count, NonNegative, Positive, Scale, Section, Share
from lowtide.params.training import FitParams


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
    teacher_tta: Literal["none", "flip"]  # flip: answers are means over an image and its mirror
    image_scale: Scale  # the teacher answers whole images

    @model_validator(mode="after")
    def _mirror_images_are_views(self) -> Self:
        if self.teacher_tta == "flip" and self.augment != "flip-shift":
            raise ValueError(
                "teacher_tta: flip takes mirror images for the same class, augment does not: set "
                "augment to flip-shift, or teacher_tta to none"
            )
        return self


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
