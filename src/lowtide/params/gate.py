"""How candidates are measured, and what a model has to hold to be promoted."""

from typing import Annotated, Literal

from pydantic import Field

from lowtide.params.constraints import Count, NonNegative, Positive, Section, Share


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
