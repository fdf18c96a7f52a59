"""A network without an ONNX form: one line names the operator, the module and the remedy."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lowtide.compression.onnx_export import export_onnx
from lowtide.errors import ModelError


class Net(nn.Module):
    """A convolution, then the part that is the matter."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3)
        self.body = nn.Sequential(nn.ReLU(), part)

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.body(self.stem(images.float()))
        return features.flatten(2).mean(2)


class Branch(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        return features if features.sum() > 3 else features * 2


class Loop(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        for _ in range(int(features.max())):
            features = features / 2
        return features


class Spectrum(nn.Module):
    """Singular values: ONNX has no such operator."""

    def forward(self, features: Tensor) -> Tensor:
        return torch.linalg.svdvals(features)


@torch.library.custom_op("tests::twice", mutates_args=())
def twice(features: Tensor) -> Tensor:
    return features * 2


@twice.register_fake
def _(features: Tensor) -> Tensor:
    return torch.empty_like(features)


class Own(nn.Module):
    """An operator of the user's own, in C++ or by decorator."""

    def forward(self, features: Tensor) -> Tensor:
        doubled: Tensor = twice(features)
        return doubled


class OfTwo(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        return features.reshape(2, 4, -1)


class UpToFive(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        return features if features.shape[0] <= 5 else features * 2


class Numpy(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        return torch.from_numpy(np.abs(features.numpy()))


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (Branch(), r"module body\.1 \(test_export_failure\.py:\d+\) branches on the values"),
        (Loop(), r"module body\.1 \(test_export_failure\.py:\d+\) branches on the values"),
        (Spectrum(), r"operator aten\._linalg_svd in module body\.1 has no ONNX form"),
        (Own(), r"operator tests\.twice in module body\.1 has no ONNX form"),
        (OfTwo(), r"batches of 2 images alone"),
        (UpToFive(), r"batches of any size \(.*batch <= 5\)"),
        (Numpy(), r"module body\.1 \(test_export_failure\.py:\d+\): RuntimeError: .*numpy"),
    ],
    ids=lambda part: type(part).__name__ if isinstance(part, nn.Module) else "",
)
def test_the_cause_is_named_and_no_file_is_left(
    part: nn.Module, said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=said) as caught:
        export_onnx(Net(part), (3, 8, 8), tmp_path / "model.onnx", opset=20)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("the model cannot be exported to ONNX: ")
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


class Double(torch.autograd.Function):
    @staticmethod
    def forward(_: object, features: Tensor) -> Tensor:
        return features * 2


class Unusual(nn.Module):
    """A Fourier transform and an autograd function of one's own: these do have an ONNX form."""

    def forward(self, features: Tensor) -> Tensor:
        doubled: Tensor = Double.apply(features)
        return torch.fft.fft2(doubled).abs()


def test_what_is_only_unusual_is_exported(tmp_path: Path) -> None:
    from lowtide.compression.onnx_export import parity
    from lowtide.runtime.onnx_model import OnnxModel

    torch.manual_seed(0)
    network, path = Net(Unusual()), tmp_path / "model.onnx"
    images = np.random.default_rng(0).integers(0, 256, (7, 3, 8, 8), dtype=np.uint8)
    export_onnx(network, (3, 8, 8), path, opset=20)
    difference, agreement = parity(network, OnnxModel(path, 1).logits(images), images)
    assert (difference < 1e-4, agreement) == (True, 1.0)
