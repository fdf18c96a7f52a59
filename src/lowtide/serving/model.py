"""A file that may be served: checked before anything runs in it, opened, and warmed up."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from lowtide.artifacts import file_sha256
from lowtide.errors import ArtifactError, ModelError
from lowtide.runtime.onnx_file import check_file
from lowtide.runtime.onnx_model import OnnxModel
from lowtide.serving.cores import BatchCost, timed
from lowtide.serving.protocol import Signature

WARM_UP_RUNS = 3


@dataclass(frozen=True)
class Figures:
    """What was recorded of a model before it was served; None is unknown.

    `batch_size`: images of the batches by which the joules were recorded.
    """

    accuracy: float | None = None
    inference_energy_j: float | None = None
    batch_size: int | None = None


class ServedModel:
    """A classifier with its name, version and labels; `run` may be called from any thread."""

    def __init__(
        self, model: OnnxModel, signature: Signature, cost: BatchCost, *, name: str, version: str,
        sha256: str, figures: Figures,
    ) -> None:  # fmt: skip
        self._model, self.signature, self.cost = model, signature, cost
        self.name, self.version, self.sha256, self.figures = name, version, sha256, figures
        self.labels = _labels(model, signature.num_classes)

    @classmethod
    def open(
        cls, path: Path, *, name: str, version: str | None = None, figures: Figures | None = None,
        num_threads: int | None = None, warm_up_images: int = 1,
    ) -> Self:  # fmt: skip
        """`version` None: the first digits of the file's SHA-256.

        Raises:
            ModelError: the file is missing or broken, reaches outside its folder, uses operators
                that no standard knows, or is no classifier of images in batches of any size.
        """
        check_file(path)
        digest = file_sha256(path)
        try:
            model = OnnxModel(path, num_threads)
            signature, cost = _warm_up(path, model, warm_up_images)
        except ArtifactError as error:
            raise ModelError(f"{error}; it is not served") from None
        return cls(
            model, signature, cost, name=name, version=version or digest[:12], sha256=digest,
            figures=figures or Figures(),
        )  # fmt: skip

    def run(self, images: np.ndarray) -> tuple[np.ndarray, float]:
        """float32 [N, K] logits for images [N, C, H, W] of the signature's type; core-seconds."""
        logits, core_s = timed(self._model.run, images, self._model.runtime.num_threads)
        return logits.astype(np.float32, copy=False), core_s


def _warm_up(path: Path, model: OnnxModel, num_images: int) -> tuple[Signature, BatchCost]:
    """Kernels are chosen and memory is taken before the first request; what comes out is looked at,
    and what it took.

    One image and the largest batch: both sizes, and that the file takes any.
    """
    channels, height, width = _image_shape(path, model)
    took_s: dict[int, float] = {}
    for size in (1, num_images) * WARM_UP_RUNS:
        images: np.ndarray = np.zeros((size, channels, height, width), model.pixel_type)
        logits, core_s = timed(model.run, images, model.runtime.num_threads)
        took_s[size] = min(core_s, took_s.get(size, core_s))
    if not _are_logits(logits, num_images):
        raise ModelError(
            f"{path} gives {_described(logits)}: expected finite logits [N, K] of 2 classes or more"
        )
    signature = Signature(
        model.input_name, model.pixel_type, (channels, height, width), model.output_name,
        logits.shape[1],
    )  # fmt: skip
    return signature, BatchCost(took_s[1], took_s[num_images], num_images)


def _image_shape(path: Path, model: OnnxModel) -> tuple[int, int, int]:
    batch, *image = model.input_shape
    sides = [side for side in image if isinstance(side, int)]
    if isinstance(batch, int) or len(sides) != 3 or sides[0] not in (1, 3) or 0 in sides:
        raise ModelError(
            f"{path} takes {model.input_shape}: export it with any number of images of one size "
            "and 1 or 3 channels"
        )
    return sides[0], sides[1], sides[2]


def _are_logits(found: Any, num_images: int) -> bool:
    """A graph may also give sequences, text, NaN, or nothing to choose from."""
    return (
        isinstance(found, np.ndarray)
        and found.dtype.kind in "fiu"
        and found.ndim == 2
        and len(found) == num_images
        and found.shape[1] > 1
        and bool(np.isfinite(found).all())
    )


def _described(found: Any) -> str:
    shape = f" {list(found.shape)}" if isinstance(found, np.ndarray) else ""
    return f"{getattr(found, 'dtype', type(found).__name__)}{shape}"


def _labels(model: OnnxModel, num_classes: int) -> tuple[str, ...]:
    """As the file says; numbers where it does not."""
    try:
        found = tuple(map(str, json.loads(model.metadata["lowtide.labels"])))
    except (KeyError, TypeError, ValueError):
        found = ()
    return found if len(found) == num_classes else tuple(map(str, range(num_classes)))
