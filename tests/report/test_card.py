"""The model card holds what one has to know of a version, and says what is unknown."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from lowtide.params import load_params
from lowtide.report import card
from lowtide.report.energy_label import energy_label

Reports = dict[str, dict[str, Any]]
PARAMS = load_params(Path(__file__).parents[2] / "params.yaml")


def model_card(reports: Reports) -> str:
    return card.model_card(reports, PARAMS)


def test_the_card_has_data_figures_training_and_limits(reports: Reports) -> None:
    text = model_card(reports)
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "# Image classifier, int8", "## Intended use", "## Verdict", "## Data", "## Figures",
        "## Compression", "## Training", "## Energy label C", "## Limits",
    ]  # fmt: skip
    assert "npz, tides.npz: 22 train, 7 test images, 1 unreadable skipped" in text
    assert "| test accuracy | 0.9 | 0.95 |" in text
    assert "| per inference (estimated) | 0.002 J | 0.002 J |" in text
    assert "0.04 kWh, estimated" in text
    assert "8 g CO2e; 16 g if run at once" in text
    assert "verdict: passed" in text


def test_the_card_says_what_became_of_each_technique_and_of_the_target(reports: Reports) -> None:
    text = model_card(reports).partition("## Compression\n")[2].partition("\n\n")[0]
    assert text.splitlines() == [
        "- distill: kept: 1.79 times less than before",
        "- prune: left out: that is within the target, nothing is done",
        "- quantize: int8 kept: takes 1.80 times less than fp32",
        "- target: int8 takes 3.90 times fewer joules: the target of 6 is missed",
    ]


def test_the_limits_are_those_of_this_model(reports: Reports) -> None:
    limits = model_card(reports).partition("## Limits")[2]
    assert "weakest class is high: recall 0.75" in limits
    assert "2 test images are training images" in limits
    assert "recorded grid" in limits
    assert "not all measured" in limits

    reports["prepare"]["data"] = {**reports["prepare"]["data"], "num_test_images_in_train": 0}
    for report in reports.values():
        report["provenance"] |= {"energy": "measured", "clock": "system"}
    limits = model_card(reports).partition("## Limits")[2]
    assert "training images, too" not in limits
    assert "recorded grid" not in limits
    assert "not all measured" not in limits


def test_what_is_unknown_says_so(reports: Reports) -> None:
    reports["prune"] |= {"energy_kwh": None, "emissions_g": None}
    reports["evaluate"]["candidates"]["int8"]["inference_energy_j"] = None
    text = model_card(reports)
    assert "unknown kWh" in text
    assert "unknown g CO2e" in text
    assert "| unknown J | 0.002 J |" in text


def test_many_classes_are_not_all_named(reports: Reports) -> None:
    names = [f"class{index}" for index in range(100)]
    candidate = reports["evaluate"]["candidates"]["int8"]
    candidate["recall_per_class"] = [1.0] * 99 + [0.5]
    reports["prepare"]["data"] = {**reports["prepare"]["data"], "class_names": names}
    text = model_card(reports)
    assert "class19 and 80 more" in text
    assert "weakest class is class99" in text


def test_the_head_is_what_the_hugging_face_hub_reads(reports: Reports) -> None:
    _, head, _ = model_card(reports).split("---\n", 2)
    content = yaml.safe_load(head)
    assert content["co2_eq_emissions"]["emissions"] == pytest.approx(8.0)
    assert "estimated energy" in content["co2_eq_emissions"]["source"]
    hub = pytest.importorskip("huggingface_hub")
    parsed = hub.ModelCard(model_card(reports))
    assert parsed.data.pipeline_tag == "image-classification"
    accuracy = parsed.data.eval_results[0]
    assert (accuracy.metric_type, accuracy.metric_value) == ("accuracy", 0.9)
    reports["train"]["emissions_g"] = None
    assert "co2_eq_emissions" not in model_card(reports)


def test_sci_is_of_inference_and_of_its_share_of_training(reports: Reports) -> None:
    """0.002 J at 360 g/kWh, and 8 g over 1e8 inferences."""
    assert "SCI: unknown g CO2e per inference" in model_card(reports)
    reports["evaluate"]["mean_intensity_g_per_kwh"] = 360.0
    text = model_card(reports)
    assert "an inference: 2e-07 g CO2e at 360 g/kWh (estimated energy)" in text
    assert "SCI: 2.8e-07 g CO2e per inference, training spread over 1e+08 inferences" in text


@pytest.mark.parametrize(
    ("times_less", "label"), [(16.0, "A"), (7.9, "C"), (1.0, "E"), (0.1, "G"), (None, "unknown")]
)
def test_the_label_says_how_many_times_less(times_less: float | None, label: str) -> None:
    assert energy_label(times_less) == label
