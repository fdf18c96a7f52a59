"""Exported files in ONNX Runtime, the way they will be served."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lowtide.errors import ArtifactError, UsageError, first_line
from lowtide.runtime.normalisation import PREPROCESSING, Normalisation

INPUT, OUTPUT = "image", "logits"
Provider = Literal["auto", "cpu", "cuda"]
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
WANTED = {"auto": (CUDA, CPU), "cpu": (CPU,), "cuda": (CUDA, CPU)}
TYPES = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32, "tensor(float16)": np.float16}


@dataclass(frozen=True)
class Runtime:
    """Where figures were taken; those of different runtimes are not compared."""

    name: str
    version: str
    provider: str
    num_threads: int


class OnnxModel:
    """An ONNX classifier: uint8 [N, C, H, W] -> float32 logits [N, K].

    A file whose preprocessing is outside the graph gets its images normalised here, and that is
    part of the time it takes.
    """

    def __init__(
        self,
        path: Path,
        num_threads: int | None = None,
        profile: Path | None = None,
        provider: Provider = "auto",
    ) -> None:
        """With `profile` each call is recorded, until `end_profile`, in files that begin so.

        Raises:
            ArtifactError: ONNX Runtime cannot open the file, or it does not take images.
            UsageError: the provider that is asked for is not there.
        """
        self._path = path
        options = _options(num_threads, profile)
        self._session = _open(path, options, provider)
        inputs = self._session.get_inputs()
        if not inputs:
            raise ArtifactError(f"{path} takes no input: expected images [N, C, H, W]")
        image = inputs[0]
        if len(inputs) > 1 or len(image.shape) != 4 or image.type not in TYPES:
            raise ArtifactError(
                f"{path} takes {image.type} {image.shape} and "
                f"{len(inputs) - 1} more inputs: expected images [N, C, H, W] "
                "alone, as uint8, float32 or float16"
            )
        self.input_name: str = image.name
        self.input_shape: list[int | str] = image.shape
        self._type = TYPES[image.type]
        self.input_type: str = np.dtype(self._type).name
        self.output_name: str = self._session.get_outputs()[0].name
        self.metadata: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        self._normalisation = Normalisation.of_metadata(self.metadata)
        import onnxruntime

        self.runtime = Runtime(
            "onnxruntime",
            onnxruntime.__version__,
            self._session.get_providers()[0],
            options.intra_op_num_threads,
        )

    @property
    def pixel_type(self) -> type:
        """What images are given as: raw pixels, or what a file of others takes as it is."""
        exported = PREPROCESSING in self.metadata or self._normalisation is not None
        return np.uint8 if exported else self._type

    def logits(self, images: np.ndarray, batch_size: int = 256) -> np.ndarray:
        """float32 [N, K] for uint8 [N, C, H, W], in batches."""
        return np.concatenate(
            [
                self.run(np.ascontiguousarray(images[start : start + batch_size]))
                for start in range(0, len(images), batch_size)
            ]
        )

    def prepare(self, images: np.ndarray) -> np.ndarray:
        """uint8 [N, C, H, W] as the file takes it: as it is, or normalised float of that shape."""
        prepared = images if self._normalisation is None else self._normalisation(images)
        return prepared.astype(self._type, copy=False)

    def run(self, images: np.ndarray) -> np.ndarray:
        """One call of the runtime: a whole batch at once."""
        try:
            output: np.ndarray = self._session.run(None, {self.input_name: self.prepare(images)})[0]
        except Exception as error:  # noqa: BLE001 -- onnxruntime's share no other base class
            raise ArtifactError(
                f"{self._path} cannot take images {list(images.shape)}: {first_line(error)}"
            ) from None
        return output

    def end_profile(self) -> Path:
        """The file that the calls were recorded in."""
        return Path(self._session.end_profiling())


def _options(num_threads: int | None, profile: Path | None) -> Any:
    import onnxruntime
    import psutil

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads or psutil.cpu_count(logical=False) or 1
    options.log_severity_level = 3
    if profile is not None:
        options.enable_profiling, options.profile_file_prefix = True, str(profile)
    return options


def _open(path: Path, options: Any, provider: Provider) -> Any:
    import onnxruntime

    if not path.is_file():
        raise ArtifactError(f"there is no model {path}: name an .onnx file, or `make run` first")
    there = onnxruntime.get_available_providers()
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=[name for name in WANTED[provider] if name in there]
        )
    except Exception as error:  # noqa: BLE001 -- onnxruntime's share no other base class
        raise ArtifactError(
            f"{path} cannot be opened by ONNX Runtime: {first_line(error)}"
        ) from None
    if provider == "cuda" and CUDA not in session.get_providers():
        raise UsageError(
            f"provider cuda is asked for, but ONNX Runtime {onnxruntime.__version__} has "
            f"{', '.join(session.get_providers())} alone here: install lowtide[gpu] on a machine "
            "with a GPU, or take auto or cpu"
        )
    return session
