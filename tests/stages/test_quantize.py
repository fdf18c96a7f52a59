"""The stage on real files: what it reports, and a network that int8 would slow down here."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from lowtide import artifacts
from lowtide.artifacts import report_path
from lowtide.compression.layers import layers
from lowtide.data.batches import load_card
from lowtide.models.factory import ModelSpec, build
from lowtide.models.weights import save_model
from lowtide.stages.run import run_stage

DEPTHWISE = """
from torch import nn


def depthwise(in_channels, image_size, num_classes):
    return nn.Sequential(
        nn.Conv2d(in_channels, 8, 3, padding=1), nn.ReLU(),
        *(nn.Conv2d(8, 8, 3, padding=1, groups=8) for _ in range(4)),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, num_classes),
    )
"""


def quantize(factory: str) -> dict:  # type: ignore[type-arg]
    """The report on an untrained network that stands where `prune` leaves its own."""
    card = load_card(artifacts.DATA)
    channels, height, width = card.shape
    spec = ModelSpec(factory, channels, (height, width), len(card.class_names), card.mean, card.std)
    save_model(artifacts.PRUNED, build(spec), spec)
    run_stage("quantize")
    report: dict = json.loads(report_path("quantize").read_text())  # type: ignore[type-arg]
    return report


def test_the_report_says_what_was_found(write_params: Callable[..., Path]) -> None:
    write_params(quantize={"method": "auto", "sensitivity_layers": 2})
    run_stage("prepare")
    report = quantize("tidenet-s")
    names = [node.name for node in layers(onnx.load(artifacts.PRUNED_ONNX))]
    assert [layer["name"] for layer in report["layers"]] == names
    assert sum(layer["sensitivity"] is not None for layer in report["layers"]) == 2
    assert set(report["methods"]) == {"minmax", "entropy", "percentile"}
    assert report["method"] in report["methods"]
    assert report["num_calibration_images"] == 8
    assert report["accuracy_drop"] == pytest.approx(report["accuracy_fp32"] - report["accuracy"])
    floats = [one["name"] for one in report["layers"] if one["precision"] == "float"]
    assert report["layers_kept_float"] == sorted(floats)
    assert set(report["half"]) == {"float16", "bfloat16"}
    assert report["model"] in {"fp32", "int8", "float16"}
    assert artifacts.HALF.exists()


def test_a_network_that_int8_slows_down_stays_float(
    write_params: Callable[..., Path], checkout: Path
) -> None:
    """Convolutions of 8 channels, one by one."""
    write_params(evaluate={"batch_size": 64})
    (checkout / "nets.py").write_text(DEPTHWISE)
    run_stage("prepare")
    report = quantize("nets:depthwise")
    if report["kept"]:
        pytest.skip("this runtime runs them quicker in int8")
    assert report["model"] != "int8"
    assert report["why"] == "no layer gains by int8" or "saves nothing" in report["why"]
    assert len(report["layers_kept_float"]) >= 4


def test_calibration_on_one_class_is_said(
    write_params: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    write_params()
    run_stage("prepare")
    labels = artifacts.DATA / "train_labels.npy"
    np.save(labels, np.full_like(np.load(labels), 3))
    quantize("tidenet-xs")
    assert "all 8 calibration images are of one class" in capsys.readouterr().err
