"""A file that may be served: checked before anything runs in it, opened, and warmed up."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from lowtide.errors import ArtifactError, ModelError, first_line
from lowtide.runtime.onnx_model import OnnxModel
from lowtide.serving.protocol import Signature

WARM_UP_RUNS = 3
STANDARD_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})


@dataclass(frozen=True)
class Figures:
    """What was recorded of a model before it was served; None is unknown."""

    accuracy: float | None = None
    inference_energy_j: float | None = None


class ServedModel:
    """A classifier with its name, version and labels; `run` may be called from any thread."""

    def __init__(
        self, model: OnnxModel, signature: Signature, *, name: str, version: str, sha256: str,
        figures: Figures,
    ) -> None:  # fmt: skip
        self._model, self.signature = model, signature
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
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        try:
            model = OnnxModel(path, num_threads)
            signature = _warm_up(path, model, warm_up_images)
        except ArtifactError as error:
            raise ModelError(f"{error}; it is not served") from None
        return cls(
            model, signature, name=name, version=version or digest[:12], sha256=digest,
            figures=figures or Figures(),
        )  # fmt: skip

    def run(self, images: np.ndarray) -> np.ndarray:
        """float32 [N, K] logits for images [N, C, H, W] of the signature's type."""
        return self._model.run(images).astype(np.float32, copy=False)


def check_file(path: Path) -> None:
    """ModelError unless it is valid ONNX of standard operators, whole in its own folder.

    The checker refuses external data that is missing, absolute, a link, or above the folder.
    """
    import onnx

    if not path.is_file():
        raise ModelError(f"there is no model {path}: name an .onnx file")
    try:
        model = onnx.load(path, load_external_data=False)
        onnx.checker.check_model(path)
    except Exception as error:  # noqa: BLE001 -- protobuf's and the checker's share no other base
        raise ModelError(f"{path} is not valid ONNX: {first_line(error)}") from None
    domains = {opset.domain for opset in model.opset_import} | {n.domain for n in model.graph.node}
    if foreign := sorted(domains - STANDARD_DOMAINS):
        raise ModelError(
            f"{path} has operators of {', '.join(foreign)}: only standard ones are served"
        )


def _warm_up(path: Path, model: OnnxModel, num_images: int) -> Signature:
    """Kernels are chosen and memory is taken before the first request; what comes out is looked at.

    One image and the largest batch: both sizes, and that the file takes any.
    """
    batch, *image = model.input_shape
    if isinstance(batch, int) or not all(isinstance(side, int) for side in image):
        raise ModelError(
            f"{path} takes {model.input_shape}: export it with any number of images of one size"
        )
    channels, height, width = (int(side) for side in image)
    for size in (1, num_images) * WARM_UP_RUNS:
        logits = model.run(np.zeros((size, channels, height, width), model.pixel_type))
    if logits.ndim != 2 or len(logits) != num_images:
        raise ModelError(f"{path} gives {list(logits.shape)}: expected logits [N, classes]")
    return Signature(
        model.input_name, model.pixel_type, (channels, height, width), model.output_name,
        logits.shape[1],
    )  # fmt: skip


def _labels(model: OnnxModel, num_classes: int) -> tuple[str, ...]:
    """As the file says; numbers where it does not."""
    try:
        found = tuple(map(str, json.loads(model.metadata["lowtide.labels"])))
    except (KeyError, TypeError, ValueError):
        found = ()
    return found if len(found) == num_classes else tuple(map(str, range(num_classes)))
