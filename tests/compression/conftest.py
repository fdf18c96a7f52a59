"""A small trained-enough network with its images."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from lowtide.compression.onnx_export import export_onnx
from lowtide.models.factory import Classifier, ModelSpec, build

SHAPE = (3, 16, 16)


@dataclass
class Rig:
    model: Classifier
    images: np.ndarray  # uint8 [64, 3, 16, 16]


@pytest.fixture
def rig() -> Rig:
    return make_rig()


def make_rig() -> Rig:
    torch.manual_seed(0)
    model = build(ModelSpec("tidenet-s", 3, (16, 16), 4, (127.5,) * 3, (64.0,) * 3))
    generator = np.random.default_rng(0)
    colours = generator.uniform(0, 255, (64, 3, 1, 1))  # so that images differ, as real ones do
    images = np.clip(colours + generator.normal(0, 40, (64, *SHAPE)), 0, 255).astype(np.uint8)
    model.train()
    for _ in range(3):  # batch norms get statistics of their own, so that folding is tested
        model(torch.from_numpy(images))
    model.eval()
    with torch.no_grad():  # every class is the answer to some images
        model.net.head[2].bias -= model(torch.from_numpy(images)).mean(0)
    return Rig(model, images)


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "fp32.onnx"
    export_onnx(make_rig().model, SHAPE, path, opset=20)
    return path


@pytest.fixture
def graph(exported: Path, tmp_path: Path) -> onnx.ModelProto:
    """The network in fp32, as it lies in `fp32.onnx`."""
    shutil.copy(exported, tmp_path / "fp32.onnx")
    return onnx.load(exported)
