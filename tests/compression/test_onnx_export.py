"""The exported file is one file, valid, and says what torch says."""

import json
from copy import deepcopy
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from lowtide.compression.onnx_export import export_onnx, parity, set_metadata
from lowtide.errors import ModelError
from lowtide.runtime.normalisation import INSIDE
from lowtide.runtime.onnx_model import OnnxModel


def test_onnx_runtime_agrees_with_torch_at_any_batch_size(rig, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "model.onnx"
    export_onnx(rig.model, (3, 16, 16), path, opset=20)
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]
    exported = OnnxModel(path, num_threads=1)
    for size in (1, 7, 64):
        difference, agreement = parity(
            rig.model, exported.logits(rig.images[:size]), rig.images[:size]
        )
        assert difference < 1e-3
        assert agreement == 1.0
    graph = onnx.load(path)
    assert [(entry.domain, entry.version) for entry in graph.opset_import] == [("", 20)]
    assert "BatchNormalization" not in {node.op_type for node in graph.graph.node}
    assert str(Path(__file__).parents[2]).encode() not in path.read_bytes()  # no source paths


def test_a_model_in_channels_last_becomes_the_same_graph_and_stays_as_it_is(
    rig, tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]
    """torch would export its strides, as a Gather that moves nothing."""
    graphs = []
    for layout in (torch.contiguous_format, torch.channels_last):
        model = deepcopy(rig.model).to(memory_format=layout)
        export_onnx(model, (3, 16, 16), tmp_path / "model.onnx", opset=20)
        graphs.append([node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node])
        weights = next(each for each in model.parameters() if each.ndim == 4)
        assert weights.is_contiguous(memory_format=layout)
    assert graphs[0] == graphs[1]
    assert "Gather" not in graphs[1]


def test_metadata_is_kept_in_the_file(rig, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "model.onnx"
    export_onnx(rig.model, (3, 16, 16), path, opset=20)
    set_metadata(path, {"lowtide.labels": '["a", "b"]'})
    metadata = OnnxModel(path, 1).metadata
    assert metadata["lowtide.labels"] == '["a", "b"]'
    assert metadata["lowtide.preprocessing"] == INSIDE
    assert metadata["lowtide.opset"] == "20"


def test_what_is_normalised_outside_gives_the_same_logits(rig, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """To `OnnxModel` both files take raw pixels; to others the metadata say what to do."""
    inside, outside = tmp_path / "inside.onnx", tmp_path / "outside.onnx"
    export_onnx(rig.model, (3, 16, 16), inside, opset=20)
    export_onnx(rig.model, (3, 16, 16), outside, opset=20, preprocessing="outside")
    model = OnnxModel(outside, 1)
    logits = model.logits(rig.images)
    assert np.abs(logits - OnnxModel(inside, 1).logits(rig.images)).max() < 1e-5

    mean, std = (
        np.array(json.loads(model.metadata[f"lowtide.{key}"]), np.float32).reshape(1, 3, 1, 1)
        for key in ("mean", "std")
    )
    session = onnxruntime.InferenceSession(outside, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].type == "tensor(float)"
    by_hand = session.run(None, {"image": (rig.images.astype(np.float32) - mean) / std})[0]
    assert np.array_equal(by_hand, logits)


def test_a_file_of_another_opset_than_stated_is_refused(rig, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ModelError, match=r"export\.opset states 99"):
        export_onnx(rig.model, (3, 16, 16), tmp_path / "model.onnx", opset=99)
    assert list(tmp_path.iterdir()) == []


def test_parity_sees_a_difference(rig) -> None:  # type: ignore[no-untyped-def]
    with torch.no_grad():
        logits = rig.model(torch.from_numpy(rig.images)).numpy()
    shifted = logits + np.array([[5.0, 0, 0, 0]], np.float32)
    difference, agreement = parity(rig.model, shifted, rig.images)
    assert difference == pytest.approx(5.0, abs=1e-4)
    assert agreement == float((shifted.argmax(1) == logits.argmax(1)).mean())


class Unrunnable(nn.Module):
    """Valid ONNX that ONNX Runtime has no kernel for: a convolution of doubles."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 2, 3, dtype=torch.float64)

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.convolution(images.double())
        return features.float().mean((2, 3))


def test_a_graph_that_onnx_runtime_refuses_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="ONNX Runtime refuses the exported graph") as caught:
        export_onnx(Unrunnable(), (3, 4, 4), tmp_path / "model.onnx", opset=20)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
