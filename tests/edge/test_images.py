"""The runner's own reader gives the pixels that Pillow gives, without it."""

import io
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lowtide.data.decode import decode_image
from lowtide.edge.device import images

SIZES = [(8, 8), (5, 11), (32, 32), (40, 7)]


@pytest.fixture
def no_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)


def noise(*shape: int) -> np.ndarray:
    """Smooth in part, so that every filter of a PNG is used."""
    ramp = np.linspace(0, 160, int(np.prod(shape))).reshape(shape)
    return (ramp + np.random.default_rng(0).integers(0, 90, shape)).astype(np.uint8)


def saved(pixels: np.ndarray, kind: str, mode: str | None = None) -> bytes:
    image, file = Image.fromarray(pixels), io.BytesIO()
    (image.convert(mode) if mode else image).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("shape", [(13, 21), (32, 32, 3), (64, 48, 3)])
def test_an_image_is_resized_as_predict_does(
    tmp_path: Path, shape: tuple[int, ...], height: int, width: int
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(saved(noise(*shape), "png"))
    for channels, mode in ((1, "L"), (3, "RGB")):
        expected = decode_image(path, mode, (height, width))
        assert expected is not None
        found = images.read(str(path), channels, height, width)
        np.testing.assert_array_equal(found, expected.transpose(2, 0, 1))


FORMS: list[tuple[str, tuple[int, ...], str | None]] = [
    ("ppm", (6, 9), None),
    ("ppm", (6, 9, 3), None),
    ("bmp", (6, 9), None),
    ("bmp", (6, 9, 3), None),
    ("bmp", (6, 9, 4), None),
    ("png", (6, 9), None),
    ("png", (40, 31, 3), None),
    ("png", (6, 9, 4), None),
    ("png", (6, 9), "LA"),
    ("png", (20, 20, 3), "P"),
]


@pytest.mark.parametrize(("kind", "shape", "mode"), FORMS)
def test_files_are_read_without_pillow(
    kind: str, shape: tuple[int, ...], mode: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = saved(noise(*shape), kind, mode)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    monkeypatch.setitem(sys.modules, "PIL", None)
    np.testing.assert_array_equal(images.as_channels(images.decode(data), 3), expected)


@pytest.mark.usefixtures("no_pillow")
def test_arrays_and_comments_are_read(tmp_path: Path) -> None:
    pixels = noise(4, 5, 3)
    np.save(tmp_path / "a.npy", pixels)
    np.testing.assert_array_equal(images.decode((tmp_path / "a.npy").read_bytes()), pixels)
    commented = b"P6\n# by hand\n5 4\n# 8 bits\n255\n" + pixels.tobytes()
    np.testing.assert_array_equal(images.decode(commented), pixels)


def sixteen_bits() -> np.ndarray:
    return (noise(6, 9).astype(np.uint16) << 8) + 7


def test_of_16_bits_the_upper_ones_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(sixteen_bits(), "png")
    np.testing.assert_array_equal(images.decode(data)[..., 0], noise(6, 9))
    monkeypatch.setitem(sys.modules, "PIL", None)
    np.testing.assert_array_equal(images.decode(data)[..., 0], noise(6, 9))


BROKEN: list[tuple[Callable[[], bytes], str]] = [
    (lambda: saved(noise(6, 9, 3), "png")[:-30], "incomplete"),
    (lambda: saved(noise(6, 9, 3), "png").replace(b"IDAT", b"ADAT"), "truncated"),
    (lambda: saved(noise(6, 9, 3), "png", "1"), "needs Pillow"),
    (lambda: saved(noise(6, 9, 3), "bmp")[:80], "buffer is smaller"),
    (lambda: b"P6\n9 6\n65535\n", "8 bits"),
    (lambda: b"P6\n9 6\n255\n123", "buffer is smaller"),
    (lambda: b"P6\n0 6\n255\n", "no pixels"),
    (lambda: saved(noise(6, 9, 3), "jpeg"), "pip install pillow"),
    (lambda: b"", "pip install pillow"),
]


@pytest.mark.parametrize(("broken", "message"), BROKEN)
def test_what_cannot_be_read_is_named(
    broken: Callable[[], bytes], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.img").write_bytes(broken())
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ValueError, match=rf"a\.img cannot be read as an image: .*{message}"):
        images.read(str(tmp_path / "a.img"), 3, 8, 8)


@pytest.mark.parametrize("array", [np.zeros((4, 4)), np.zeros((1, 4, 4, 3), np.uint8)])
def test_an_array_of_another_kind_is_refused(array: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(ValueError, match=r"expected uint8 \[H, W\]"):
        images.read(str(tmp_path / "a.npy"), 3, 8, 8)


def test_the_folder_of_the_runner_needs_nothing_of_lowtide() -> None:
    folder = Path(images.__file__).parent
    for name in ("run.py", "images.py"):
        assert "lowtide" not in (folder / name).read_text()
    assert len((folder / "run.py").read_text().splitlines()) <= 60
