"""Every source leads to the same arrays; what cannot be used is refused by name."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

from lowtide.data.arrays import load_split
from lowtide.data.card import load_card
from lowtide.data.prepare import channel_statistics, prepare
from lowtide.errors import ArtifactError, DataError
from lowtide.params import DataParams

BASE = {
    "source": "npz",
    "path": None,
    "test_path": None,
    "val_fraction": 0.2,
    "test_fraction": 0.2,
    "image_size": None,
    "skip_bad": False,
}


def params(**changes: object) -> DataParams:
    return DataParams.model_validate({**BASE, **changes})


def png(seed: int, size: tuple[int, int] = (8, 8), mode: str = "RGB") -> bytes:
    channels = 3 if mode == "RGB" else 1
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, channels), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels.squeeze(), mode).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """30 grey images of 8x8 in 3 classes."""
    for label in range(3):
        place = tmp_path / "images" / f"class{label}"
        place.mkdir(parents=True)
        for index in range(10):
            (place / f"{index}.png").write_bytes(png(100 * label + index, mode="L"))
    return tmp_path / "images"


@pytest.fixture
def write_npz(tmp_path: Path) -> Callable[..., Path]:
    def write(x: np.ndarray, y: np.ndarray) -> Path:
        path = tmp_path / "data.npz"
        np.savez(path, x_train=x, y_train=y)
        return path

    return write


def test_digits_are_split_by_class_and_described(tmp_path: Path) -> None:
    card = prepare(params(source="digits"), 0, tmp_path / "data")
    train, test = (load_split(tmp_path / "data", name) for name in ("train", "test"))
    assert card["shape"] == [1, 8, 8]
    assert len(test.labels) == 359
    assert train.images.dtype == np.uint8
    assert train.images.max() == 255
    shares = np.bincount(test.labels) / len(test.labels)
    assert shares == pytest.approx(np.full(10, 0.1), abs=0.01)
    assert load_card(tmp_path / "data").class_names == tuple("0123456789")


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    cards = [prepare(params(source="digits"), seed, tmp_path / f"{i}") for i, seed in
             enumerate((1, 1, 2))]  # fmt: skip
    assert cards[0]["sha256"] == cards[1]["sha256"] != cards[2]["sha256"]


def test_an_image_folder_of_grey_images(folder: Path, tmp_path: Path) -> None:
    card = prepare(params(source="imagefolder", path=folder), 0, tmp_path / "data")
    assert card["shape"] == [1, 8, 8]
    assert card["class_names"] == ["class0", "class1", "class2"]
    assert sum(sum(counts.values()) for counts in card["counts"].values()) == 30


def test_parquet_as_hugging_face_writes_it(tmp_path: Path) -> None:
    rows = [{"bytes": png(index), "path": None} for index in range(30)]
    table = pyarrow.table({"img": rows, "label": [index % 3 for index in range(30)]})
    parquet.write_table(table, tmp_path / "train.parquet")
    card = prepare(params(source="parquet", path=tmp_path / "train.parquet"), 0, tmp_path / "data")
    assert card["shape"] == [3, 8, 8]


def test_float_pixels_between_0_and_1_are_scaled(
    write_npz: Callable[..., Path], tmp_path: Path
) -> None:
    x = np.linspace(0, 1, 30 * 16).reshape(30, 4, 4)
    prepare(params(path=write_npz(x, np.arange(30) % 3)), 0, tmp_path / "data")
    assert load_split(tmp_path / "data", "train").images.max() > 200


def test_a_broken_image_is_named_and_may_be_skipped(folder: Path, tmp_path: Path) -> None:
    broken = folder / "class1" / "3.png"
    broken.write_bytes(broken.read_bytes()[:60])
    with pytest.raises(DataError, match=r"1 of 30 images.*3\.png.*skip_bad"):
        prepare(params(source="imagefolder", path=folder), 0, tmp_path / "data")
    card = prepare(params(source="imagefolder", path=folder, skip_bad=True), 0, tmp_path / "data")
    assert card["num_skipped"] == 1
    assert card["skipped"] == [str(broken)]


def test_mixed_sizes_need_a_size_to_resize_to(folder: Path, tmp_path: Path) -> None:
    (folder / "class2" / "0.png").write_bytes(png(1, (6, 9), "L"))
    with pytest.raises(DataError, match=r"8x8.*6x9.*data\.image_size"):
        prepare(params(source="imagefolder", path=folder), 0, tmp_path / "data")
    card = prepare(
        params(source="imagefolder", path=folder, image_size=[10, 12]), 0, tmp_path / "data"
    )
    assert card["shape"] == [1, 10, 12]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(30, dtype=int), "only one class"),
        (np.arange(30) % 3 - 1, "label -1"),
        (np.arange(30) % 3 / 2, "expected integers"),
        (np.array([0] * 28 + [1] * 2), "class 1 has 2 training images"),
    ],
)
def test_labels_that_cannot_be_used(
    write_npz: Callable[..., Path], tmp_path: Path, labels: np.ndarray, message: str
) -> None:
    x = np.zeros((30, 4, 4), dtype=np.uint8)
    with pytest.raises(DataError, match=message):
        prepare(params(path=write_npz(x, labels)), 0, tmp_path / "data")


def test_nan_pixels_are_counted_and_the_first_is_named(
    write_npz: Callable[..., Path], tmp_path: Path
) -> None:
    x = np.zeros((30, 4, 4))
    x[[7, 9], 0, 0] = np.nan
    with pytest.raises(DataError, match=r"2 images of x_train.*number 7"):
        prepare(params(path=write_npz(x, np.arange(30) % 3)), 0, tmp_path / "data")


def test_a_missing_path_and_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing at .*none"):
        prepare(params(source="imagefolder", path=tmp_path / "none"), 0, tmp_path / "data")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no class folders"):
        prepare(params(source="imagefolder", path=tmp_path / "empty"), 0, tmp_path / "data")


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(ArtifactError, match="No space left"):
        prepare(params(source="digits"), 0, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_statistics_are_those_of_all_images_at_once() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2500, 3, 4, 5), dtype=np.uint8)
    mean, std = channel_statistics(images)
    np.testing.assert_allclose(mean, images.mean(axis=(0, 2, 3)))
    np.testing.assert_allclose(std, images.std(axis=(0, 2, 3)))


def test_a_test_set_that_lacks_a_class_is_refused(folder: Path, tmp_path: Path) -> None:
    for name in ("class0", "class2"):
        place = tmp_path / "test" / name
        place.mkdir(parents=True)
        (place / "0.png").write_bytes(png(7, mode="L"))
    with pytest.raises(DataError, match="class class1 has no test images"):
        prepare(
            params(source="imagefolder", path=folder, test_path=tmp_path / "test"), 0,
            tmp_path / "data",
        )  # fmt: skip
    assert not (tmp_path / "data").exists()


def test_a_class_too_rare_for_the_split_off_test_set_is_refused(
    write_npz: Callable[..., Path], tmp_path: Path
) -> None:
    labels = np.array([0] * 1000 + [1] * 1000 + [2] * 3)
    x = np.zeros((len(labels), 2, 2), dtype=np.uint8)
    with pytest.raises(DataError, match="class 2 has no test images"):
        prepare(params(path=write_npz(x, labels), test_fraction=0.1), 0, tmp_path / "data")


def torn(data: bytes) -> bytes:
    return data[: len(data) // 2]


def corrupt(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes(50) + data[middle + 50 :]


@pytest.mark.parametrize("damage", [torn, corrupt, lambda _: b"", lambda _: b"no zip at all"])
def test_a_damaged_npz_is_named(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "data.npz"
    x = np.random.default_rng(0).integers(0, 256, (30, 8, 8), dtype=np.uint8)
    np.savez_compressed(path, x_train=x, y_train=np.arange(30) % 3)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=r"data\.npz cannot be read as \.npz"):
        prepare(params(path=path), 0, tmp_path / "data")


def test_a_single_array_is_no_npz(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros(3))
    with pytest.raises(DataError, match=r"x\.npy cannot be read as \.npz"):
        prepare(params(path=tmp_path / "x.npy"), 0, tmp_path / "data")


@pytest.mark.parametrize("x", [np.full((30, 4, 4), "a"), np.zeros((0, 4, 4))])
def test_pixels_that_are_no_numbers(
    write_npz: Callable[..., Path], tmp_path: Path, x: np.ndarray
) -> None:
    with pytest.raises(DataError, match=r"x_train holds \d+ images of .*expected numbers"):
        prepare(params(path=write_npz(x, np.arange(len(x)) % 3)), 0, tmp_path / "data")


def test_a_file_in_place_of_an_image_folder(tmp_path: Path) -> None:
    (tmp_path / "images").write_text("")
    with pytest.raises(DataError, match=r"images cannot be listed \(Not a directory\)"):
        prepare(params(source="imagefolder", path=tmp_path / "images"), 0, tmp_path / "data")


def write_parquet(path: Path, images: list[object]) -> DataParams:
    table = pyarrow.table({"img": images, "label": [i % 3 for i in range(len(images))]})
    parquet.write_table(table, path)
    return params(source="parquet", path=path)


def test_a_row_without_an_image_is_a_bad_image(tmp_path: Path) -> None:
    rows: list[object] = [{"bytes": png(index), "path": None} for index in range(30)]
    rows[4], rows[9] = None, {"bytes": None, "path": "x.png"}
    given = write_parquet(tmp_path / "t.parquet", rows)
    with pytest.raises(DataError, match=r"2 of 30 images.*row 4"):
        prepare(given, 0, tmp_path / "data")


@pytest.mark.parametrize(
    "images", [[1, 2, 3], [b"a", b"b", b"c"], [{"path": "a.png"}] * 3, [{"bytes": "a.png"}] * 3]
)
def test_a_column_of_something_else_is_named(tmp_path: Path, images: list[object]) -> None:
    given = write_parquet(tmp_path / "t.parquet", images)
    with pytest.raises(DataError, match=r"`img` holds .*expected struct<bytes: binary"):
        prepare(given, 0, tmp_path / "data")


def test_an_image_of_monstrous_size_is_a_bad_image(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    (folder / "class0" / "5.png").write_bytes(png(0, (20, 20), "L"))
    with pytest.raises(DataError, match=r"1 of 30 images.*5\.png"):
        prepare(params(source="imagefolder", path=folder), 0, tmp_path / "data")


def test_16_bit_grey_keeps_its_shades_among_colours(folder: Path, tmp_path: Path) -> None:
    for path in sorted(folder.rglob("*.png"))[1:]:
        path.write_bytes(png(3))
    deep = np.full((8, 8), 0x4080, dtype=np.uint16)
    Image.fromarray(deep).save(folder / "class0" / "0.png")
    prepare(params(source="imagefolder", path=folder), 0, tmp_path / "data")
    splits = [load_split(tmp_path / "data", name).images for name in ("train", "val", "test")]
    flat = [image for image in np.concatenate(splits) if image.min() == image.max()]
    assert [int(image.max()) for image in flat] == [0x40]
