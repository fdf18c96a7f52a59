"""Files are classified with the pixels that training would have seen of them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import Tensor, nn

from lowtide.compression.onnx_export import export_onnx, set_metadata
from lowtide.data.decode import decode_all
from lowtide.energy import counting
from lowtide.errors import DataError, MeterError, ModelError
from lowtide.evaluation.predict import predict_files
from lowtide.models.factory import Classifier
from lowtide.params import DataParams


class MeanShade(nn.Module):
    """Its logits tell the mean shade of the image: the first is shade / 64, the second 0."""

    def forward(self, images: Tensor) -> Tensor:
        shade = images.float().mean((1, 2, 3))[:, None] / 64
        return shade * Tensor([[1.0, 0.0]])


class OneChannelMean(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.mean((2, 3)) * Tensor([[1.0, 0.0]])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "m.onnx"
    export_onnx(MeanShade(), (1, 8, 8), path, opset=20)
    set_metadata(path, {"lowtide.labels": '["light", "dark"]'})
    return path


@pytest.fixture(autouse=True)
def _no_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "open_sources", list)


def draw(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def test_pixels_are_normalised_where_the_file_does_not(tmp_path: Path) -> None:
    """Logits of (150 - 100) / 50, and 0: shade 1 of the network, 64 of `shade_of`."""
    path = tmp_path / "outside.onnx"
    network = Classifier(OneChannelMean(), (100.0,), (50.0,))
    export_onnx(network, (1, 8, 8), path, opset=20, preprocessing="outside")
    set_metadata(path, {"lowtide.labels": '["light", "dark"]'})
    image = draw(tmp_path / "a.png", np.full((8, 8), 150, np.uint8))
    found = predict_files(path, [image])["predictions"][0]
    assert found["label"] == "light"
    assert shade_of(found["probability"]) == pytest.approx(64, rel=1e-5)


def shade_of(probability: float) -> float:
    return 64 * float(np.log(probability / (1 - probability)))


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((8, 8), 100, np.uint8),
        np.full((8, 8), 0x6480, np.uint16),
        np.full((20, 12, 3), 90, np.uint8),
    ],
)
def test_an_image_is_decoded_as_prepare_does(
    model: Path, tmp_path: Path, pixels: np.ndarray
) -> None:
    path = draw(tmp_path / "a.png", pixels)
    data = DataParams(
        source="imagefolder", path=tmp_path, test_path=None, val_fraction=0.1, test_fraction=0.1,
        image_size=(8, 8), skip_bad=False,
    )  # fmt: skip
    prepared = decode_all([path], ["a"], np.zeros(1), data).images
    found = predict_files(model, [path])["predictions"][0]
    assert found["label"] == "light"
    assert shade_of(found["probability"]) == pytest.approx(float(prepared.mean()), rel=1e-3)


def test_without_a_source_energy_is_unknown(model: Path, tmp_path: Path) -> None:
    path = draw(tmp_path / "a.png", np.zeros((8, 8), np.uint8))
    content = predict_files(model, [path])
    assert (content["energy_j_per_inference"], content["provenance"]) == (None, "unknown")


class Dead:
    closed = False

    def read(self) -> list[object]:
        raise MeterError("unplugged")

    def close(self) -> None:
        self.closed = True


def test_a_dead_source_does_not_stop_the_answer(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = Dead()
    monkeypatch.setattr(counting, "open_sources", lambda: [dead])
    content = predict_files(model, [draw(tmp_path / "a.png", np.zeros((8, 8), np.uint8))])
    assert content["energy_j_per_inference"] is None
    assert content["predictions"]
    assert dead.closed


def test_what_cannot_be_read_is_named(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match=r"there is no image .*none\.png"):
        predict_files(model, [tmp_path / "none.png"])
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(DataError, match=r"text\.png cannot be read as an image"):
        predict_files(model, [tmp_path / "text.png"])
    large = draw(tmp_path / "large.png", np.zeros((20, 20), np.uint8))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DataError, match=r"large\.png cannot be read as an image"):
        predict_files(model, [large])


def test_a_foreign_model_is_refused(tmp_path: Path) -> None:
    export_onnx(MeanShade(), (1, 8, 8), tmp_path / "bare.onnx", opset=20)
    with pytest.raises(ModelError, match="not exported by lowtide"):
        predict_files(tmp_path / "bare.onnx", [])
