"""Arrays in one .npz file: x_train, y_train and, if there are, x_test, y_test."""

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from lowtide.data.sources import RawData, RawImages
from lowtide.errors import DataError
from lowtide.params import DataParams

UNREADABLE = (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error)


def load_npz(params: DataParams) -> RawData:
    assert params.path is not None
    try:
        with params.path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except UNREADABLE as error:
        raise DataError(f"{params.path} cannot be read as .npz: {error}") from None
    train = _split(arrays, "train", params)
    test = _split(arrays, "test", params) if "x_test" in arrays else None
    highest = int(train.labels.max()) + 1 if len(train.labels) else 0
    return RawData(train, test, tuple(str(label) for label in range(highest)))


def _split(arrays: Mapping[str, np.ndarray], split: str, params: DataParams) -> RawImages:
    path = params.path
    assert path is not None
    for name in (f"x_{split}", f"y_{split}"):
        if name not in arrays:
            raise DataError(f"{path} has no array {name}; it has {', '.join(arrays)}")
    labels = arrays[f"y_{split}"].reshape(-1)
    if not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"{path}: y_{split} holds {labels.dtype}, expected integers")
    images = _pixels(arrays[f"x_{split}"], path, split)
    if len(images) != len(labels):
        raise DataError(f"{path}: x_{split} has {len(images)} images, y_{split} {len(labels)}")
    if params.image_size is not None and images.shape[2:] != params.image_size:
        images = np.stack([_resize(image, params.image_size) for image in images])
    return RawImages(images, labels.astype(np.int64))


def _pixels(array: np.ndarray, path: Path, split: str) -> np.ndarray:
    """uint8 [N, C, H, W] from [N, H, W], [N, H, W, C] or [N, C, H, W], uint8 or float."""
    if array.ndim == 3:
        array = array[:, None]
    elif array.ndim == 4 and array.shape[-1] in (1, 3) and array.shape[1] not in (1, 3):
        array = array.transpose(0, 3, 1, 2)
    if array.ndim != 4 or array.shape[1] not in (1, 3):
        raise DataError(
            f"{path}: x_{split} has shape {array.shape}: expected N images of 1 or 3 channels"
        )
    if not len(array) or array.dtype.kind not in "buif":
        raise DataError(
            f"{path}: x_{split} holds {len(array)} images of {array.dtype}: expected numbers"
        )
    if array.dtype == np.uint8:
        return array
    flat = array.reshape(len(array), -1).astype(float)
    wrong = ~np.isfinite(flat).all(axis=1)
    wrong |= (flat < 0).any(axis=1) | (flat > 255).any(axis=1)
    if wrong.any():
        raise DataError(
            f"{path}: {int(wrong.sum())} images of x_{split} hold NaN or values outside 0..255, "
            f"the first is number {int(np.flatnonzero(wrong)[0])}"
        )
    scale = 255.0 if np.issubdtype(array.dtype, np.floating) and flat.max() <= 1 else 1.0
    return np.rint(array * scale).astype(np.uint8)


def _resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    planes = [
        np.asarray(Image.fromarray(plane).resize(size[::-1], Image.Resampling.BILINEAR))
        for plane in image
    ]
    return np.stack(planes)
