"""Tensors of the Open Inference Protocol as numpy arrays, refused where they are not images."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from lowtide.errors import RequestError

NAMES: dict[type, str] = {np.uint8: "UINT8", np.float32: "FP32", np.float16: "FP16"}
INTEGERS, NUMBERS = "iu", "iuf"  # kinds of numpy


def shape_of(
    tensor: Mapping[str, Any], image_shape: tuple[int, ...], num_images_max: int
) -> tuple[int, ...]:
    """[N, C, H, W] as stated; RequestError unless these are 1 to `num_images_max` such images."""
    shape = tensor.get("shape")
    whole = isinstance(shape, list) and all(type(each) is int for each in shape)
    if not whole or not shape or tuple(shape[1:]) != image_shape:
        sides = ", ".join(map(str, image_shape))
        raise RequestError(f"the shape is {str(shape)[:60]}: the model takes [N, {sides}]")
    if not 1 <= shape[0] <= num_images_max:
        raise RequestError(f"{shape[0]} images in one request: send 1 to {num_images_max}")
    return tuple(shape)


def from_json(data: Any, shape: tuple[int, ...], pixel_type: type) -> np.ndarray:
    """Row by row, flat or nested; NaN, infinities and what is no number are refused."""
    if not isinstance(data, list):
        raise RequestError("an input has no data: give a list, or binary_data_size")
    try:
        given = np.asarray(data)
    except (ValueError, OverflowError):  # ragged
        raise RequestError("data is ragged: rows have different lengths") from None
    if given.dtype.kind not in (INTEGERS if pixel_type is np.uint8 else NUMBERS):
        raise RequestError(f"data is not all numbers of type {NAMES[pixel_type]}")
    if given.size != math.prod(shape):
        raise RequestError(f"data has {given.size} numbers, the shape {math.prod(shape)}")
    return _finite(_within(given, pixel_type).reshape(shape))


def from_bytes(tail: bytes, size: Any, shape: tuple[int, ...], pixel_type: type) -> np.ndarray:
    """Little-endian, row by row; as many bytes as stated and as the shape needs."""
    needed = math.prod(shape) * np.dtype(pixel_type).itemsize
    if type(size) is not int or size != len(tail) or size != needed:
        raise RequestError(
            f"binary_data_size is {str(size)[:20]}, {len(tail)} bytes follow the JSON: the shape "
            f"needs {needed}"
        )
    return _finite(np.frombuffer(tail, pixel_type).reshape(shape))


def _within(given: np.ndarray, pixel_type: type) -> np.ndarray:
    if pixel_type is np.uint8 and (given.min() < 0 or given.max() > np.iinfo(np.uint8).max):
        raise RequestError("data is outside 0 to 255: the model takes pixels as UINT8")
    with np.errstate(over="ignore"):  # an infinity of float16 is refused next
        return given.astype(pixel_type)


def _finite(images: np.ndarray) -> np.ndarray:
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        raise RequestError("data holds NaN or infinity: the model takes finite numbers")
    return images
