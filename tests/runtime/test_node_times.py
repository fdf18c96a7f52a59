"""Each node that ONNX Runtime executes has a time, and no file is left behind."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lowtide.compression.onnx_export import export_onnx
from lowtide.runtime.node_times import node_times


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """A convolution with its activation, a mean and a linear layer."""
    torch.manual_seed(0)
    path = tmp_path / "model.onnx"
    export_onnx(Net(), (3, 16, 16), path, opset=20)
    return path


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Conv2d(3, 64, 5, padding=2)
        self.head = nn.Linear(64, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.wide(images.float()).relu().mean((2, 3)))
        return logits


def test_every_node_that_runs_has_a_time(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    images = np.zeros((8, 3, 16, 16), np.uint8)
    seconds = node_times(exported, images, num_runs=5, num_threads=1)
    assert all(0 <= value < 1 for value in seconds.values())
    assert any("relu" in name for name in seconds)  # the convolution, by what is fused into it
    assert not any("wide" in name for name in seconds)
    assert any("linear" in name for name in seconds)
    assert list(folder.iterdir()) == []
