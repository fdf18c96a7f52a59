"""Exported files in ONNX Runtime, the way they will be served."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lowtide.errors import ArtifactError, first_line

INPUT, OUTPUT = "image", "logits"


@dataclass(frozen=True)
class Runtime:
    """Where figures were taken; those of different runtimes are not compared."""

    name: str
    version: str
    provider: str
    num_threads: int


class OnnxModel:
    """An ONNX classifier: uint8 [N, C, H, W] -> float32 logits [N, K]."""

    def __init__(
        self, path: Path, num_threads: int | None = None, profile: Path | None = None
    ) -> None:
        """With `profile` each call is recorded, until `end_profile`, in files that begin so."""
        import onnxruntime
        import psutil

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = num_threads or psutil.cpu_count(logical=False) or 1
        options.log_severity_level = 3
        if profile is not None:
            options.enable_profiling, options.profile_file_prefix = True, str(profile)
        wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
        providers = [name for name in wanted if name in onnxruntime.get_available_providers()]
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # noqa: BLE001 -- onnxruntime's share no other base class
            raise ArtifactError(
                f"{path} cannot be opened by ONNX Runtime: {first_line(error)}"
            ) from None
        self.input_shape: list[int | str] = self._session.get_inputs()[0].shape
        self.metadata: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        self.runtime = Runtime(
            "onnxruntime",
            onnxruntime.__version__,
            self._session.get_providers()[0],
            options.intra_op_num_threads,
        )

    def logits(self, images: np.ndarray, batch_size: int = 256) -> np.ndarray:
        """float32 [N, K] for uint8 [N, C, H, W], in batches."""
        return np.concatenate(
            [
                self.run(np.ascontiguousarray(images[start : start + batch_size]))
                for start in range(0, len(images), batch_size)
            ]
        )

    def run(self, images: np.ndarray) -> np.ndarray:
        """One call of the runtime: a whole batch at once."""
        output: np.ndarray = self._session.run(None, {INPUT: images})[0]
        return output

    def end_profile(self) -> Path:
        """The file that the calls were recorded in."""
        return Path(self._session.end_profiling())
