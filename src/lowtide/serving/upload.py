"""An uploaded file as an image for the model, refused where it is none or would take too much."""

import asyncio
import io

import numpy as np
from PIL import Image

from lowtide.data.decode import UNREADABLE, decode_image
from lowtide.errors import RequestError
from lowtide.serving.protocol import Signature

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")  # Pillow knows some that start other programs
PIXELS_MAX = 50_000_000  # a small file may hold many: 150 MB of memory as RGB
AT_ONCE = 2


class Uploads:
    """Decodes in threads, a few at once: the memory it takes has a bound."""

    def __init__(self) -> None:
        self._room = asyncio.Semaphore(AT_ONCE)

    async def decode(self, content: bytes, signature: Signature) -> np.ndarray:
        """[1, C, H, W], resized as for training.

        Raises:
            RequestError: it is no image of these formats, not whole, or has too many pixels.
        """
        async with self._room:
            return await asyncio.to_thread(_decode, content, signature)


def _decode(content: bytes, signature: Signature) -> np.ndarray:
    width, height = _size(content)
    if width * height > PIXELS_MAX:
        raise RequestError(
            f"the image has {width} x {height} pixels: send one of at most {PIXELS_MAX:,}"
        )
    channels, *shape = signature.image_shape
    pixels = decode_image(content, "L" if channels == 1 else "RGB", (shape[0], shape[1]))
    if pixels is None:
        raise _unreadable()
    return pixels.transpose(2, 0, 1)[None].astype(signature.pixel_type)


def _size(content: bytes) -> tuple[int, int]:
    """By its header alone."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            return image.size
    except UNREADABLE:
        raise _unreadable() from None


def _unreadable() -> RequestError:
    return RequestError("the upload cannot be read as an image: send a JPEG or PNG file")
