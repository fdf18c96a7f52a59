"""Images as they come: the four sources behind one function."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from lowtide.errors import DataError
from lowtide.params import DataParams


@dataclass
class RawImages:
    """uint8 images [N, C, H, W] and integer labels [N], nothing split yet."""

    images: np.ndarray
    labels: np.ndarray
    skipped: list[str] = field(default_factory=list)


@dataclass
class RawData:
    train: RawImages
    test: RawImages | None
    class_names: tuple[str, ...]


def load_raw(params: DataParams) -> RawData:
    """Read and decode everything.

    Raises:
        DataError: see the sources; a path is missing, empty, or holds something else.
    """
    from lowtide.data.imagefolder import load_imagefolder
    from lowtide.data.npz import load_npz
    from lowtide.data.parquet import load_parquet

    loaders: dict[str, Callable[[DataParams], RawData]] = {
        "digits": _load_digits,
        "parquet": load_parquet,
        "imagefolder": load_imagefolder,
        "npz": load_npz,
    }
    require_paths(params)
    return loaders[params.source](params)


def require_paths(params: DataParams) -> None:
    """DataError where params.yaml names no path, or one with nothing there."""
    if params.source == "digits":
        return
    if params.path is None:
        raise DataError(f"data.source is {params.source} but data.path is empty: name it")
    for key, path in (("path", params.path), ("test_path", params.test_path)):
        if path is not None and not path.exists():
            raise DataError(f"data.{key}: there is nothing at {path}")


def _load_digits(_params: DataParams) -> RawData:
    """1,797 handwritten digits of 8x8 grey pixels, from scikit-learn; 0..16 becomes 0..255."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)[:, None]
    return RawData(
        RawImages(images, digits.target.astype(np.int64)), None, tuple(str(d) for d in range(10))
    )
