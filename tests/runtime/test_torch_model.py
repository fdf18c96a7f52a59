"""A network in torch is probed like a file."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lowtide.runtime.onnx_model import CPU, Runtime
from lowtide.runtime.torch_model import TorchModel

LIKE = Runtime("onnxruntime", "1", CPU, 1)


class Mean(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.float().mean((2, 3))


def test_it_answers_in_numpy_with_the_threads_it_is_told() -> None:
    images = np.arange(7 * 3 * 4, dtype=np.uint8).reshape(7, 3, 2, 2)
    model = TorchModel(nn.Sequential(Mean(), nn.Dropout(0.9)).train(), like=LIKE)
    torch.set_num_threads(2)
    assert np.array_equal(model.run(images), images.mean((2, 3), dtype=np.float32))
    assert torch.get_num_threads() == 1
    assert np.array_equal(model.logits(images, batch_size=3), model.run(images))
    assert (model.runtime.name, model.runtime.provider) == ("torch", "cpu")


def test_images_mapped_from_disk_are_taken(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("data") / "images.npy"
    np.save(path, np.ones((3, 1, 2, 2), np.uint8))
    mapped = np.load(path, mmap_mode="r")
    assert TorchModel(Mean(), like=LIKE).logits(mapped).tolist() == [[1.0]] * 3
