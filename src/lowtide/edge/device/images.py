"""Images by numpy alone: .npy, .ppm and .pgm, uncompressed .bmp, .png; others where Pillow is.

They come out as Pillow would read and resize them, bit by bit, whether it is there or not.
"""

import io
import re
import struct
import zlib
from pathlib import Path

import numpy as np

GREY = (19595, 38470, 7471)  # ITU-R 601, in units of 2**-16
ROUNDING = 22  # bits behind the point of a weight, as Pillow has them
PNG = b"\x89PNG\r\n\x1a\n"
PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type


def read(path: str, channels: int, height: int, width: int) -> np.ndarray:
    """uint8 [channels, height, width]; ValueError names a file that cannot be read."""
    try:
        pixels = decode(Path(path).read_bytes())
        if pixels.size == 0:
            raise ValueError("it has no pixels")
    except (OSError, ValueError, LookupError, SyntaxError, struct.error, zlib.error) as error:
        raise ValueError(f"{path} cannot be read as an image: {error}") from None
    pixels = resize(resize(as_channels(pixels, channels), width, 1), height, 0)
    return pixels.transpose(2, 0, 1)


def decode(data: bytes) -> np.ndarray:
    """uint8 [H, W, C] with 1 to 4 channels."""
    for magic, reader in ((b"\x93NUMPY", npy), (b"P5", netpbm), (b"P6", netpbm), (b"BM", bmp)):
        if data.startswith(magic):
            return reader(data)
    try:
        return pillow(data)
    except ImportError:
        if data.startswith(PNG):
            return png(data)
        raise ValueError("only .npy, .ppm, .pgm, .bmp and .png without Pillow; pip install pillow"
        ) from None  # fmt: skip


def as_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """Without its alpha; of 1 or 3 channels as asked."""
    opaque = pixels[..., :-1] if pixels.shape[2] in (2, 4) else pixels
    if (opaque.shape[2], channels) == (3, 1):
        opaque = ((opaque @ np.array(GREY) + 2**15) >> 16)[..., None]
    return np.broadcast_to(opaque, (*opaque.shape[:2], channels)).astype(np.uint8)


def resize(pixels: np.ndarray, size: int, axis: int) -> np.ndarray:
    """By a triangle as wide as what it shrinks: Pillow's BILINEAR, in the same integers."""
    lines = np.moveaxis(pixels, axis, 0)
    if len(lines) == size:
        return pixels
    scale = len(lines) / size
    reach = max(scale, 1.0)
    resized = np.empty((size, *lines.shape[1:]), np.uint8)
    for index in range(size):
        centre = (index + 0.5) * scale
        low, high = max(int(centre - reach + 0.5), 0), min(int(centre + reach + 0.5), len(lines))
        weights = 1 - abs((np.arange(low, high) - centre + 0.5) / reach)
        weights = np.clip(weights, 0, None)
        whole = (weights / weights.sum() * 2**ROUNDING + 0.5).astype(int)
        total = np.tensordot(whole, lines[low:high], 1)
        resized[index] = (total + 2 ** (ROUNDING - 1)) >> ROUNDING
    return np.moveaxis(resized, 0, axis)


def npy(data: bytes) -> np.ndarray:
    pixels: np.ndarray = np.load(io.BytesIO(data), allow_pickle=False)
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or pixels.shape[2:] > (4,):
        raise ValueError(f"{pixels.dtype} {list(pixels.shape)}, expected uint8 [H, W] or [H, W, C]")
    return pixels if pixels.ndim == 3 else pixels[..., None]


def netpbm(data: bytes) -> np.ndarray:
    header = re.match(rb"P([56])" + rb"(?:\s|#[^\n]*\n)+(\d+)" * 3 + rb"\s", data)
    if header is None or int(header[4]) != 255:
        raise ValueError("a netpbm file of 8 bits is expected")
    width, height, channels = int(header[2]), int(header[3]), {b"5": 1, b"6": 3}[header[1]]
    pixels = np.frombuffer(data, np.uint8, width * height * channels, header.end())
    return pixels.reshape(height, width, channels)


def bmp(data: bytes) -> np.ndarray:
    start, header, width, height, _, bits, packed = struct.unpack("<IIiiHHI", data[10:34])
    if bits not in (8, 24, 32) or packed not in (0, 3):
        raise ValueError("an uncompressed .bmp of 8, 24 or 32 bits is expected")
    depth, stride = bits // 8, (width * bits + 31) // 32 * 4
    lines = np.frombuffer(data, np.uint8, abs(height) * stride, start).reshape(-1, stride)
    pixels = lines[:, : width * depth].reshape(abs(height), width, depth)
    if depth == 1:
        table = np.frombuffer(data[14 + header : start], np.uint8).reshape(-1, 4)
        pixels = table[pixels[..., 0]]
    return pixels[:: -1 if height > 0 else 1, :, 2::-1]


def png(data: bytes) -> np.ndarray:
    """Of 8 or 16 bits, not interlaced; of 16 bits the upper 8 are taken."""
    width, height, bits, kind, _, _, laced = struct.unpack(">IIBBBBB", data[16:29])
    if bits not in (8, 16) or laced:
        raise ValueError("a .png of 1, 2 or 4 bits or an interlaced one needs Pillow")
    chunks, at = {b"IDAT": b""}, len(PNG)
    while at < len(data):
        size, name = struct.unpack(">I4s", data[at : at + 8])
        chunks[name] = chunks.get(name, b"") + data[at + 8 : at + 8 + size]
        at += size + 12
    depth = PNG_CHANNELS[kind] * bits // 8
    lines = unfilter(zlib.decompress(chunks[b"IDAT"]), height, width * depth, depth)
    pixels: np.ndarray = lines.reshape(height, width, -1, bits // 8)[..., 0]
    if kind == 3:
        table = np.frombuffer(chunks[b"PLTE"], np.uint8).reshape(-1, 3)
        pixels = table[pixels[..., 0]]
    return pixels


def unfilter(packed: bytes, height: int, stride: int, depth: int) -> np.ndarray:
    """uint8 [height, stride]: a byte is told by how much it differs from a guess (PNG, 9.2)."""
    if len(packed) != height * (stride + 1):
        raise ValueError(f"{len(packed)} bytes of pixels, expected {height * (stride + 1)}")
    above, lines = bytearray(depth + stride), []
    for start in range(0, len(packed), stride + 1):
        line = bytearray(depth) + packed[start + 1 : start + 1 + stride]
        for at in range(depth, depth + stride) if packed[start] else ():
            near = line[at - depth], above[at], above[at - depth]
            line[at] = (line[at] + guess(packed[start], *near)) & 255
        lines.append(line[depth:])
        above = line
    return np.frombuffer(b"".join(lines), np.uint8).reshape(height, stride)


def guess(kind: int, left: int, up: int, corner: int) -> int:
    if kind == 4:  # Paeth: the neighbour that is nearest to the plane through the three
        plane = left + up - corner
        return min(left, up, corner, key=lambda near: abs(plane - near))
    return (0, left, up, (left + up) // 2)[kind]


def pillow(data: bytes) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError

    try:
        file = Image.open(io.BytesIO(data))
    except UnidentifiedImageError:
        raise ValueError("it is of no format that Pillow knows") from None
    with file:
        deep = file.mode.startswith("I")
        image = file.point(lambda value: value / 256).convert("L") if deep else file
        grey = image.mode in ("1", "L", "LA")
        pixels = np.asarray(image.convert("L" if grey else "RGB"))
    return pixels if pixels.ndim == 3 else pixels[..., None]
