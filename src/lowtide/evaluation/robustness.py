"""Test images shifted a little, the same way each time: noise, blur, brightness.

Strengths are those of CIFAR-10-C at severity 1 to 2 (Hendrycks and Dietterich, "Benchmarking Neural
Network Robustness to Common Corruptions and Perturbations", ICLR 2019).
"""

from collections.abc import Callable, Mapping

import numpy as np

from lowtide.runtime.onnx_model import OnnxModel
from lowtide.runtime.torch_model import TorchModel

NOISE, BLUR, BRIGHTNESS = 0.04 * 255, 0.6, 0.1 * 255  # grey levels, pixels, grey levels
BATCH = 500  # images that are shifted at a time


def _noise(images: np.ndarray, start: int) -> np.ndarray:
    drawn = np.random.default_rng([0, start]).standard_normal(images.shape, np.float32)
    noisy: np.ndarray = images + np.float32(NOISE) * drawn
    return noisy


def _blur(images: np.ndarray, start: int) -> np.ndarray:  # noqa: ARG001
    from scipy.ndimage import gaussian_filter

    blurred: np.ndarray = gaussian_filter(images.astype(np.float32), (0, 0, BLUR, BLUR))
    return blurred


def _brightness(images: np.ndarray, start: int) -> np.ndarray:  # noqa: ARG001
    return images.astype(np.float32) + np.float32(BRIGHTNESS)


SHIFTS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "noise": _noise,
    "blur": _blur,
    "brightness": _brightness,
}


def shifted(shift: str, images: np.ndarray, start: int = 0) -> np.ndarray:
    """uint8 [N, C, H, W] of the same; `start`: the first image's number in its split."""
    pixels: np.ndarray = np.clip(np.rint(SHIFTS[shift](images, start)), 0, 255).astype(np.uint8)
    return pixels


def shifted_answers(
    models: Mapping[str, OnnxModel | TorchModel], images: np.ndarray
) -> dict[str, dict[str, np.ndarray]]:
    """The class, int64 [N], that each model names for each shifted image, by model and shift."""
    found: dict[str, dict[str, list[np.ndarray]]] = {
        name: {shift: [] for shift in SHIFTS} for name in models
    }
    for start in range(0, len(images), BATCH):
        for shift in SHIFTS:
            batch = shifted(shift, images[start : start + BATCH], start)
            for name, model in models.items():
                found[name][shift].append(model.logits(batch).argmax(1))
    return {
        name: {shift: np.concatenate(parts) for shift, parts in by_shift.items()}
        for name, by_shift in found.items()
    }
