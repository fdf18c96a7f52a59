"""A small trained-enough network with its images."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from lowtide.models.factory import Classifier, ModelSpec, build

SHAPE = (3, 16, 16)


@dataclass
class Rig:
    model: Classifier
    images: np.ndarray  # uint8 [64, 3, 16, 16]


@pytest.fixture
def rig() -> Rig:
    torch.manual_seed(0)
    model = build(ModelSpec("tidenet-s", 3, (16, 16), 4, (127.5,) * 3, (64.0,) * 3))
    images = np.random.default_rng(0).integers(0, 256, (64, *SHAPE), dtype=np.uint8)
    model.train()
    for _ in range(3):  # batch norms get statistics of their own, so that folding is tested
        model(torch.from_numpy(images))
    model.eval()
    return Rig(model, images)
