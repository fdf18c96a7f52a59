"""Uploads become images for the model, or are refused before they take memory."""

import asyncio
import io

import numpy as np
import pytest
from PIL import Image

from lowtide.errors import RequestError
from lowtide.serving.protocol import Signature
from lowtide.serving.upload import Uploads


def encoded(size: tuple[int, int], kind: str = "PNG", mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    Image.new(mode, size, 90).save(file, kind)
    return file.getvalue()


def decoded(content: bytes, channels: int = 3) -> np.ndarray:
    signature = Signature("image", np.uint8, (channels, 4, 8), "logits", 3)
    return asyncio.run(Uploads().decode(content, signature))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_of_any_size_is_as_the_model_takes_it(kind: str, channels: int) -> None:
    found = decoded(encoded((20, 10), kind), channels)
    assert (found.shape, found.dtype) == ((1, channels, 4, 8), np.uint8)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"text", "cannot be read"),
        (b"", "cannot be read"),
        (encoded((64, 64))[:60], "cannot be read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "cannot be read"),
        (encoded((8000, 7000), mode="1"), "8000 x 7000 pixels: send one of at most 50,000,000"),
    ],
)
def test_what_is_none_or_too_large_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        decoded(content)
