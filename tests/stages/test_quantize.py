"""The stage on real files: what it reports, and a network that int8 would slow down here."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from lowtide import artifacts
from lowtide.artifacts import report_path
from lowtide.compression.layers import layers
from lowtide.compression.trial import Trial
from lowtide.data.card import load_card
from lowtide.models.factory import ModelSpec, build
from lowtide.models.weights import save_model
from lowtide.params import load_params
from lowtide.runtime.onnx_model import CUDA, OnnxModel
from lowtide.stages.run import run_stage

# Between its layers is nothing that int8 can do: each quantizes its input and gives floats again,
# two passes over the data for one multiplication a pixel. That is slower on any processor.
SCALES = """
from torch import nn


class Abs(nn.Module):
    def forward(self, values):
        return values.abs()


def scales(in_channels, image_size, num_classes):
    own = [nn.Sequential(nn.Conv2d(8, 8, 1, groups=8), Abs()) for _ in range(4)]
    return nn.Sequential(
        nn.Conv2d(in_channels, 8, 1), Abs(), *own,
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, num_classes),
    )
"""


def quantize(factory: str) -> dict:  # type: ignore[type-arg]
    """The report on an untrained network that stands where `prune` leaves its own, its teacher."""
    card = load_card(artifacts.DATA)
    channels, height, width = card.shape
    spec = ModelSpec(factory, channels, (height, width), len(card.class_names), card.mean, card.std)
    network = build(spec)
    for path in (artifacts.TEACHER, artifacts.PRUNED):
        save_model(path, network, spec)
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
    assert report["layers_timed"]
    assert report["accuracy_teacher"] == report["accuracy_fp32"]
    shared = load_params(Path("params.yaml")).compress.val_accuracy_drop_max
    assert report["accuracy_drop_allowed"] == shared < 1.0  # which quantize alone might lose


def test_a_network_that_int8_slows_down_stays_float(
    write_params: Callable[..., Path], checkout: Path
) -> None:
    write_params(evaluate={"batch_size": 64}, compress={"roll_back": True})
    (checkout / "scaling.py").write_text(SCALES)
    run_stage("prepare")
    report = quantize("scaling:scales")
    assert not report["kept"]
    assert report["model"] != "int8"
    assert report["why"] == "no layer gains by int8" or "saves nothing" in report["why"]


@pytest.mark.parametrize("roll_back", [True, False])
def test_on_a_gpu_the_times_of_a_cpu_decide_nothing(
    roll_back: bool, write_params: Callable[..., Path], checkout: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Files that say they are on one: layers that are slower here are in int8 all the same. The
    whole is measured, and stays only where nothing is rolled back."""
    opened = Trial.opened

    def on_a_gpu(trial: Trial, path: Path) -> OnnxModel:
        model = opened(trial, path)
        model.runtime = replace(model.runtime, provider=CUDA)
        return model

    monkeypatch.setattr(Trial, "opened", on_a_gpu)
    write_params(
        evaluate={"batch_size": 64},
        compress={"roll_back": roll_back, "val_accuracy_drop_max": 1.0},
    )
    (checkout / "scaling.py").write_text(SCALES)
    run_stage("prepare")
    report = quantize("scaling:scales")
    assert not report["layers_timed"]
    assert report["layers_kept_float"] == []
    assert {layer["why"] for layer in report["layers"]} == {"not timed: taken as gaining"}
    assert "layers are timed on CPUs alone" in capsys.readouterr().err
    assert report["times_less"] < 1
    assert report["kept"] == (not roll_back)
    assert report["model"] != ("int8" if roll_back else "fp32")
    assert report["why"].startswith("saves nothing: takes 0.")
    assert report["why"].endswith("; but compress.roll_back is false") == (not roll_back)


@pytest.mark.parametrize(
    ("images", "labels", "common"),
    [
        (lambda images: images, lambda labels: np.full_like(labels, 3), "of one class"),
        (lambda images: images[:1].repeat(len(images), 0), lambda labels: labels, "the same"),
        (lambda images: np.broadcast_to(images[:, :, 2:3, 2:3], images.shape),
         lambda labels: labels, "of one colour each"),
    ],
)  # fmt: skip
def test_calibration_on_images_that_are_too_alike_is_said(
    images: Callable[[np.ndarray], np.ndarray], labels: Callable[[np.ndarray], np.ndarray],
    common: str, write_params: Callable[..., Path], capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    write_params()
    run_stage("prepare")
    for kind, changed in (("images", images), ("labels", labels)):
        path = artifacts.DATA / f"train_{kind}.npy"
        np.save(path, changed(np.load(path)))
    quantize("tidenet-xs")
    said = capsys.readouterr().err
    assert f"all 8 calibration images are {common}: ranges may not fit others" in said
    assert said.count("calibration images are") == 1
