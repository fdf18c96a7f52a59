"""Validate, split, describe, and write arrays that every later stage maps into memory."""

import hashlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from lowtide.data.sources import RawData, load_raw
from lowtide.errors import ArtifactError, DataError
from lowtide.params import DataParams

Split = tuple[np.ndarray, np.ndarray]
CHUNK = 1024  # images whose statistics are taken at once
NAMED = 20  # so many skipped images are named in the card
LEAST = 3  # images a class needs to be in train, val and test


def prepare(params: DataParams, seed: int, out: Path) -> dict[str, Any]:
    """Write {train,val,test}_{images,labels}.npy and card.json into `out`; returns the card.

    Images are uint8 [N, C, H, W], labels int64 [N]. The folder appears whole or not at all.

    Raises:
        DataError: labels out of range, one class only, classes too small to split or absent from
            the test set, or what the source found.
        ArtifactError: the disk is full or `out` cannot be written.
    """
    raw = load_raw(params)
    _validate(raw)
    splits = _split(raw, params, seed)
    _check_complete(splits, raw.class_names)
    card = _card(raw, splits, params)
    try:
        _write(out, splits, card)
    except OSError as error:
        raise ArtifactError(f"cannot write {out}: {error.strerror or error}") from error
    return card


def _validate(raw: RawData) -> None:
    num_classes = len(raw.class_names)
    for name, part in (("train", raw.train), ("test", raw.test)):
        if part is None:
            continue
        wrong = (part.labels < 0) | (part.labels >= num_classes)
        if wrong.any():
            first = int(np.flatnonzero(wrong)[0])
            raise DataError(
                f"{name} image {first} has label {part.labels[first]}: labels are 0 to "
                f"{num_classes - 1}"
            )
    counts = np.bincount(raw.train.labels, minlength=num_classes)
    if num_classes < 2:
        raise DataError("there is only one class: a classifier needs at least two")
    if counts.min() < LEAST:
        small = raw.class_names[int(counts.argmin())]
        raise DataError(
            f"class {small} has {counts.min()} training images: it needs {LEAST} to be split"
        )
    if raw.test is not None and raw.test.images.shape[1:] != raw.train.images.shape[1:]:
        raise DataError(
            f"train images are {raw.train.images.shape[1:]}, test images "
            f"{raw.test.images.shape[1:]}: set data.image_size"
        )


def _split(raw: RawData, params: DataParams, seed: int) -> dict[str, Split]:
    """Stratified and seeded; a test set is split off only if the source brought none."""
    from sklearn.model_selection import train_test_split

    def take(images: np.ndarray, labels: np.ndarray, share: float) -> tuple[Split, Split]:
        size = max(round(share * len(labels)), len(raw.class_names))
        a, b, c, d = train_test_split(
            images, labels, test_size=size, stratify=labels, random_state=seed
        )
        return (a, c), (b, d)

    rest: Split = (raw.train.images, raw.train.labels)
    test: Split
    try:
        if raw.test is None:
            rest, test = take(*rest, params.test_fraction)
        else:
            test = (raw.test.images, raw.test.labels)
        train, val = take(*rest, params.val_fraction)
    except ValueError as error:
        raise DataError(f"the images are too few to be split: {error}") from None
    return {"train": train, "val": val, "test": test}


def _check_complete(splits: dict[str, Split], names: tuple[str, ...]) -> None:
    """What is never shown cannot be learnt, and what is never asked cannot be judged."""
    for split in ("train", "test"):
        counts = np.bincount(splits[split][1], minlength=len(names))
        if not counts.min():
            raise DataError(
                f"class {names[int(counts.argmin())]} has no {split} images: add some, or leave "
                "the class out"
            )


def _card(raw: RawData, splits: dict[str, Split], params: DataParams) -> dict[str, Any]:
    images = splits["train"][0]
    skipped = raw.train.skipped + (raw.test.skipped if raw.test else [])
    names = raw.class_names
    mean, std = channel_statistics(images)
    return {
        "source": params.source,
        "path": str(params.path) if params.path else None,
        "shape": list(images.shape[1:]),
        "class_names": list(names),
        "counts": {
            split: dict(zip(names, np.bincount(labels, minlength=len(names)).tolist(), strict=True))
            for split, (_, labels) in splits.items()
        },
        "mean": mean.tolist(),
        "std": np.maximum(std, 1.0).tolist(),
        "sha256": _digest(splits),
        "num_test_images_in_train": _num_shared(splits),
        "num_skipped": len(skipped),
        "skipped": skipped[:NAMED],
    }


def channel_statistics(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mean, standard deviation) per channel of uint8 [N, C, H, W]; needs little memory."""
    total, squares = np.zeros(images.shape[1]), np.zeros(images.shape[1])
    for start in range(0, len(images), CHUNK):
        chunk = images[start : start + CHUNK].astype(np.float64)
        total += chunk.sum(axis=(0, 2, 3))
        squares += np.square(chunk).sum(axis=(0, 2, 3))
    count = images.size / images.shape[1]
    mean = total / count
    return mean, np.sqrt(np.maximum(squares / count - mean**2, 0.0))


def _digest(splits: dict[str, Split]) -> str:
    digest = hashlib.sha256()
    for images, labels in splits.values():
        digest.update(np.ascontiguousarray(images).data)
        digest.update(np.ascontiguousarray(labels).data)
    return digest.hexdigest()


def _num_shared(splits: dict[str, Split]) -> int:
    """Test images that are, pixel by pixel, also training images: they flatter accuracy."""
    seen = {hashlib.md5(image.tobytes()).digest() for image in splits["train"][0]}
    return sum(hashlib.md5(image.tobytes()).digest() in seen for image in splits["test"][0])


def _write(out: Path, splits: dict[str, Split], card: dict[str, Any]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    for left_over in out.parent.glob(f".{out.name}.*"):
        shutil.rmtree(left_over)
    folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        folder.chmod(0o755)
        for split, (images, labels) in splits.items():
            np.save(folder / f"{split}_images.npy", np.ascontiguousarray(images))
            np.save(folder / f"{split}_labels.npy", labels)
        (folder / "card.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    except OSError:
        shutil.rmtree(folder)
        raise
    if out.exists():
        shutil.rmtree(out)
    folder.rename(out)
