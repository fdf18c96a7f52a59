"""Encoded images to one uint8 array, on all cores, with progress; the bad ones are named."""

import io
import os
import struct
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import Progress

from lowtide.data.sources import RawImages
from lowtide.errors import DataError
from lowtide.params import DataParams

Encoded = bytes | Path
T = TypeVar("T")
CHUNK = 256
UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
)
GREY = {"1", "L", "I;16", "I", "LA"}


def decode_all(
    encoded: Sequence[Encoded], names: Sequence[str], labels: np.ndarray, params: DataParams
) -> RawImages:
    """Decode to [N, C, H, W]: one channel if all images are grey, else three.

    Raises:
        DataError: an image is unreadable (unless `skip_bad`), or sizes differ and no
            `data.image_size` is set; names the files.
    """
    if not len(encoded):
        raise DataError(f"no images in {params.path}: check data.path and data.source")
    modes = set(_map(_mode, encoded, "reading headers")) - {None}
    mode = "L" if modes <= GREY else "RGB"

    def decode(item: Encoded) -> np.ndarray | None:
        return decode_image(item, mode, params.image_size)

    decoded = _map(decode, encoded, "decoding images")
    bad = [name for name, image in zip(names, decoded, strict=True) if image is None]
    if bad and (not params.skip_bad or len(bad) == len(names)):
        raise DataError(
            f"{len(bad)} of {len(names)} images cannot be read, the first is {bad[0]}: "
            "mend or remove them, or set data.skip_bad: true"
        )
    good = [index for index, image in enumerate(decoded) if image is not None]
    _check_sizes(decoded, names, good)
    stacked = np.stack([image for image in decoded if image is not None])
    return RawImages(stacked.transpose(0, 3, 1, 2), labels[good], bad)


def _map(function: Callable[[Encoded], T], items: Sequence[Encoded], what: str) -> list[T]:
    """In threads: Pillow decodes outside the interpreter lock."""
    chunks = [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]
    results: list[T] = []
    console = Console(file=sys.stderr)
    with (
        Progress(console=console, disable=not sys.stderr.isatty(), transient=True) as progress,
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        task = progress.add_task(what, total=len(items))
        for chunk in pool.map(lambda part: [function(item) for item in part], chunks):
            results += chunk
            progress.update(task, advance=len(chunk))
    return results


def _open(item: Encoded) -> Image.Image:
    return Image.open(io.BytesIO(item) if isinstance(item, bytes) else item)


def _mode(item: Encoded) -> str | None:
    try:
        with _open(item) as image:
            return image.mode
    except UNREADABLE:
        return None


def decode_image(item: Encoded, mode: str, size: tuple[int, int] | None) -> np.ndarray | None:
    """uint8 [H, W, C], or None if the bytes are no whole image; 16-bit grey is divided by 256."""
    try:
        with _open(item) as image:
            if image.mode.startswith("I"):
                image = image.point(lambda value: value / 256).convert("L")
            converted = image.convert(mode)
    except UNREADABLE:
        return None
    if size is not None and converted.size != size[::-1]:
        converted = converted.resize(size[::-1], Image.Resampling.BILINEAR)
    pixels = np.asarray(converted)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _check_sizes(
    decoded: Sequence[np.ndarray | None], names: Sequence[str], good: Sequence[int]
) -> None:
    first = decoded[good[0]]
    assert first is not None
    for index in good[1:]:
        image = decoded[index]
        assert image is not None
        if image.shape != first.shape:
            raise DataError(
                f"images differ in size: {names[good[0]]} is {first.shape[0]}x{first.shape[1]}, "
                f"{names[index]} is {image.shape[0]}x{image.shape[1]}; "
                "set data.image_size: [height, width] to resize them"
            )
