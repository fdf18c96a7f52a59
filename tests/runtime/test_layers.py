"""The table by layer: names, multiply-adds as torch counts them, and joules that add up."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from lowtide.compression.calibrate import observe, ranges
from lowtide.compression.onnx_export import export_onnx
from lowtide.compression.quantize import Plan, write_int8
from lowtide.models.cost import layer_macs
from lowtide.runtime.layers import Layer, layer_table
from tests.runtime.files import write_classifier

SHAPE = (3, 16, 16)
IMAGES = np.random.default_rng(0).integers(0, 256, (8, *SHAPE), dtype=np.uint8)


class Net(nn.Module):
    """Widths that no block of channels divides, a depthwise convolution, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 20, 3, padding=1)
        self.depthwise = nn.Conv2d(20, 20, 3, padding=1, groups=20)
        self.wide = nn.Conv2d(20, 44, 3, stride=2)
        self.head = nn.Linear(44, 4)

    def forward(self, images: Tensor) -> Tensor:
        features = self.depthwise(self.stem(images.float()).relu())
        logits: Tensor = self.head(self.wide(features).relu().mean((2, 3)))
        return logits


@pytest.fixture(scope="module")
def network() -> Net:
    torch.manual_seed(0)
    return Net().eval()


@pytest.fixture(scope="module")
def exported(network: Net, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    export_onnx(network, SHAPE, path, opset=20)
    return path


def table(path: Path, energy_j: float | None = 0.5) -> list[Layer]:
    return layer_table(path, IMAGES, energy_j=energy_j, num_runs=3, num_threads=1)


def macs(layers: list[Layer]) -> dict[str, int | None]:
    return {layer.module: layer.num_macs for layer in layers if layer.module is not None}


def test_multiply_adds_are_those_of_the_network(network: Net, exported: Path) -> None:
    layers = table(exported)
    assert macs(layers) == layer_macs(network, SHAPE)
    assert sum(layer.num_macs or 0 for layer in layers) == sum(layer_macs(network, SHAPE).values())


def test_in_int8_too(network: Net, exported: Path, tmp_path: Path) -> None:
    graph = onnx.load(exported)
    write_int8(graph, tmp_path / "int8.onnx", Plan(ranges(observe(graph, IMAGES), "minmax")))
    layers = table(tmp_path / "int8.onnx")
    assert macs(layers) == layer_macs(network, SHAPE)
    assert "QLinearConv" in {layer.op_type for layer in layers}


def test_joules_are_shared_out_by_time(exported: Path) -> None:
    layers = table(exported)
    assert sum(layer.share for layer in layers) == pytest.approx(1)
    assert sum(layer.energy_j or 0 for layer in layers) == pytest.approx(0.5)
    for layer in layers:
        assert layer.energy_j == pytest.approx(0.5 * layer.share)
        assert 0 <= layer.seconds < 1


def test_unknown_joules_stay_unknown(tmp_path: Path) -> None:
    layers = layer_table(
        write_classifier(tmp_path / "m.onnx"), np.zeros((4, 3, 8, 8), np.uint8),
        energy_j=None, num_runs=2, num_threads=1,
    )  # fmt: skip
    assert {layer.energy_j for layer in layers} == {None}
    assert max(layer.num_macs or 0 for layer in layers) == 16 * 3 * 9 * 64
