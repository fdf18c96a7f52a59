"""Networks of torch users go through the whole chain, from the teacher to the verdict."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from lowtide import artifacts
from lowtide.artifacts import STAGES, report_path
from lowtide.runtime.onnx_model import OnnxModel
from lowtide.stages.run import run_stage


def write_images(folder: Path) -> Path:
    """120 images of 16x16 pixels in three classes that a small network can tell apart."""
    generator, labels = np.random.default_rng(0), np.arange(120) % 3
    pixels = generator.integers(0, 80, (120, 16, 16, 3)) + 80 * labels[:, None, None, None]
    path = folder / "images.npz"
    np.savez(path, x_train=pixels.astype(np.uint8), y_train=labels,
             x_test=pixels[:30].astype(np.uint8), y_test=labels[:30])  # fmt: skip
    return path


@pytest.mark.parametrize(
    ("network", "left", "pruned", "named"),
    [
        pytest.param("resnet", 0.85, "net.", None, marks=pytest.mark.integration),
        pytest.param(  # out of reach without the grouped convolutions
            "resnext", 0.2, "net.", None, marks=pytest.mark.integration
        ),
        pytest.param("mobilenet", 0.85, "net.", None, marks=pytest.mark.integration),
        ("vit", 0.85, "mlp", "blocks.0.attn.qkv"),  # which of its layers lose how much is measured
    ],
)
def test_a_users_network_goes_through_the_chain(
    network: str,
    left: float,
    pruned: str,
    named: str | None,
    checkout: Path,
    write_params: Callable[..., Path],
) -> None:
    """It teaches itself: no student is named, so that its own layers are pruned and quantized.

    How each is cut and exported is tested in tests/compression/test_users.py, too.
    """
    write_params(
        data={"source": "npz", "path": str(write_images(checkout)), "val_fraction": 0.25},
        model={"teacher": f"tests.compression.users:{network}", "student": None},
        controller={"gates": False},
        prune={"macs_fraction": left, "round_to": 4, "sensitivity_images": 20},
    )
    for stage in STAGES:
        run_stage(stage)
    reports = {stage: json.loads(report_path(stage).read_text()) for stage in STAGES}

    pruning = reports["prune"]["pruning"]
    assert pruning["macs_after"] <= left * pruning["macs_before"]
    assert pruning["channels"]
    assert all(pruned in name for name in pruning["channels"])
    assert all(after < before for before, after in pruning["channels"].values())
    assert named is None or f"net.{named}" in pruning["not_pruned"]
    assert reports["quantize"]["layers"]
    assert reports["judge"]["reasons"]

    in_int8 = {one["name"] for one in reports["quantize"]["layers"]}
    in_int8 -= set(reports["quantize"]["layers_kept_float"])  # by their measured time
    kinds = {one.data_type for one in onnx.load(artifacts.MODEL_INT8).graph.initializer}
    assert (onnx.TensorProto.INT8 in kinds) == bool(in_int8)
    images = np.load(checkout / "images.npz")["x_test"].transpose(0, 3, 1, 2)
    whole, small = (OnnxModel(path, 1) for path in (artifacts.MODEL_FP32, artifacts.MODEL_INT8))
    answers = [model.logits(np.ascontiguousarray(images)).argmax(1) for model in (whole, small)]
    assert len(set(answers[0])) > 1
    assert (answers[0] == answers[1]).mean() > 0.9
