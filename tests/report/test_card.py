"""The model card holds what one has to know of a version, and says what is unknown."""

from typing import Any

from lowtide.report.card import model_card

Reports = dict[str, dict[str, Any]]


def test_the_card_has_data_figures_training_and_limits(reports: Reports) -> None:
    card = model_card(reports)
    assert [line for line in card.splitlines() if line.startswith("#")] == [
        "# Image classifier, int8", "## Verdict", "## Data", "## Figures", "## Training",
        "## Limits",
    ]  # fmt: skip
    assert "npz, tides.npz: 22 train, 7 test images, 1 unreadable skipped" in card
    assert "| test accuracy | 0.9 | 0.95 |" in card
    assert "| per inference (estimated) | 0.002 J | 0.002 J |" in card
    assert "0.04 kWh, estimated" in card
    assert "8 g CO2e; 16 g if run at once" in card
    assert "verdict: passed" in card


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
    card = model_card(reports)
    assert "unknown kWh" in card
    assert "unknown g CO2e" in card
    assert "| unknown J | 0.002 J |" in card


def test_many_classes_are_not_all_named(reports: Reports) -> None:
    names = [f"class{index}" for index in range(100)]
    candidate = reports["evaluate"]["candidates"]["int8"]
    candidate["recall_per_class"] = [1.0] * 99 + [0.5]
    reports["prepare"]["data"] = {**reports["prepare"]["data"], "class_names": names}
    card = model_card(reports)
    assert "class19 and 80 more" in card
    assert "weakest class is class99" in card
