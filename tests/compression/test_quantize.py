"""int8 with calibrated ranges: smaller, close to float, and only where it was asked for."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from lowtide.compression.bias import bias_shifts
from lowtide.compression.calibrate import METHODS, observe, ranges
from lowtide.compression.layers import layers
from lowtide.compression.onnx_export import export_onnx
from lowtide.compression.quantize import Plan, write_int8
from lowtide.errors import ModelError
from lowtide.runtime.onnx_file import check_file
from lowtide.runtime.onnx_model import OUTPUT, OnnxModel


@pytest.mark.parametrize("method", METHODS)
def test_int8_answers_like_float(rig, graph, tmp_path: Path, method) -> None:  # type: ignore[no-untyped-def]
    target = tmp_path / "int8.onnx"
    write_int8(graph, target, Plan(ranges(observe(graph, rig.images), method)))
    check_file(target)
    assert target.stat().st_size < 0.5 * (tmp_path / "fp32.onnx").stat().st_size
    reference = OnnxModel(tmp_path / "fp32.onnx", 1).logits(rig.images)
    logits = OnnxModel(target, 1).logits(rig.images)
    assert np.abs(logits - reference).mean() < 0.25 * reference.std()


def int8_weights(path: Path) -> set[str]:
    tensors = onnx.load(path).graph.initializer
    return {one.name for one in tensors if one.data_type == onnx.TensorProto.INT8}


def test_layers_stay_float_by_name(rig, graph, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    names = [node.name for node in layers(graph)]
    found = ranges(observe(graph, rig.images), "minmax")
    write_int8(graph, tmp_path / "all.onnx", Plan(found))
    write_int8(graph, tmp_path / "some.onnx", Plan(found, frozenset(names[:2])))
    write_int8(graph, tmp_path / "none.onnx", Plan(found, frozenset(names)))
    numbers = [len(int8_weights(tmp_path / f"{name}.onnx")) for name in ("all", "some", "none")]
    assert numbers[0] - numbers[1] == 4  # a weight and its zero point each
    assert numbers[2] == 0
    scales = [one for one in onnx.load(tmp_path / "all.onnx").graph.initializer
              if "weight_scale" in one.name]  # fmt: skip
    assert all(len(scale.dims) == 1 and scale.dims[0] > 1 for scale in scales)
    assert np.allclose(
        OnnxModel(tmp_path / "none.onnx", 1).logits(rig.images),
        OnnxModel(tmp_path / "fp32.onnx", 1).logits(rig.images), atol=1e-4,
    )  # fmt: skip


def mean_error(graph: onnx.ModelProto, plan: Plan, folder: Path, images: np.ndarray) -> float:
    """Of the mean logits by class."""
    write_int8(graph, folder / "int8.onnx", plan)
    logits = [OnnxModel(folder / f"{name}.onnx", 1).logits(images) for name in ("int8", "fp32")]
    return float(np.abs(logits[0].mean(0) - logits[1].mean(0)).max())


def test_bias_correction_puts_the_mean_right(rig, graph, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Inner ranges that cut a third off shift the means; the biases take most of that back."""
    whole = ranges(observe(graph, rig.images), "minmax")
    cut = {name: (low / 1.5, high / 1.5) for name, (low, high) in whole.items()}
    tight = Plan({**cut, OUTPUT: whole[OUTPUT]})
    shifts = bias_shifts(graph, tight, rig.images)
    assert set(shifts) == {node.name for node in layers(graph)}
    corrected = Plan(tight.ranges, bias_shifts=shifts)
    before = mean_error(graph, tight, tmp_path, rig.images)
    assert mean_error(graph, corrected, tmp_path, rig.images) < 0.5 * before


class Attention(nn.Module):
    """Products of two activations, which are no layers, beside linear layers, which are."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, stride=4)
        self.query, self.value = nn.Linear(16, 16), nn.Linear(16, 16, bias=False)
        self.head = nn.Linear(16, 4)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patches(images.float() / 255).flatten(2).transpose(1, 2)
        weights = (self.query(tokens) @ tokens.transpose(1, 2)).softmax(2)
        logits: Tensor = self.head((weights @ self.value(tokens)).mean(1))
        return logits


def test_attention_passes_through(rig, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    path = tmp_path / "attention.onnx"
    export_onnx(Attention(), (3, 16, 16), path, opset=20)
    graph = onnx.load(path)
    assert len(layers(graph)) == 4
    plan = Plan(ranges(observe(graph, rig.images), "minmax"))
    shifts = bias_shifts(graph, plan, rig.images)
    assert len(shifts) == 2  # a product without an addend has no bias to correct
    write_int8(graph, tmp_path / "int8.onnx", Plan(plan.ranges, bias_shifts=shifts))
    reference = OnnxModel(path, 1).logits(rig.images)
    difference = OnnxModel(tmp_path / "int8.onnx", 1).logits(rig.images) - reference
    assert np.abs(difference).mean() < 0.15 * reference.std()


def test_a_graph_without_layers_is_refused(tmp_path: Path) -> None:
    export_onnx(nn.Flatten(), (1, 2, 2), tmp_path / "flat.onnx", opset=20)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="nothing to quantize"):
        layers(onnx.load(tmp_path / "flat.onnx"))
