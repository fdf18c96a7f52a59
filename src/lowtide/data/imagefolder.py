"""Images in folders: train/CLASS/*.png and test/CLASS/*.png, or just CLASS/*.png."""

from pathlib import Path

import numpy as np

from lowtide.data.decode import decode_all
from lowtide.data.sources import RawData, RawImages
from lowtide.errors import DataError
from lowtide.params import DataParams

SUFFIXES = {".png", ".jpg", ".jpeg"}


def load_imagefolder(params: DataParams) -> RawData:
    assert params.path is not None
    train = params.path / "train" if (params.path / "train").is_dir() else params.path
    inside = params.path / "test" if (params.path / "test").is_dir() else None
    test = params.test_path or inside
    classes = _classes(train)
    if test is not None and (unknown := set(_classes(test)) - set(classes)):
        raise DataError(f"{test} has classes that {train} lacks: {', '.join(sorted(unknown))}")
    return RawData(
        _load(train, classes, params),
        _load(test, classes, params) if test is not None else None,
        classes,
    )


def _classes(folder: Path) -> tuple[str, ...]:
    try:
        entries = list(folder.iterdir())
    except OSError as error:
        raise DataError(
            f"{folder} cannot be listed ({error.strerror}): expected {folder}/CLASS/*.png"
        ) from None
    found = sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))
    if not found:
        raise DataError(f"{folder} has no class folders: expected {folder}/CLASS/*.png")
    return tuple(found)


def _load(folder: Path, classes: tuple[str, ...], params: DataParams) -> RawImages:
    files = [
        (path, label)
        for label, name in enumerate(classes)
        for path in sorted((folder / name).glob("*"))
        if path.suffix.lower() in SUFFIXES
    ]
    paths = [path for path, _ in files]
    labels = np.array([label for _, label in files], dtype=np.int64)
    return decode_all(paths, [str(path) for path in paths], labels, params)
