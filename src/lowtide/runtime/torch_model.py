"""A network in torch, eager, as one runs it who has exported nothing."""

import numpy as np
import torch
from torch import nn

from lowtide.runtime.onnx_model import CUDA, Runtime


class TorchModel:
    """uint8 [N, C, H, W] -> float32 logits [N, K], on the device and with the threads of `like`."""

    def __init__(self, model: nn.Module, like: Runtime) -> None:
        self._device = torch.device("cuda" if _on_gpu(like) else "cpu")
        self._model = model.to(self._device).eval()
        self._num_threads = like.num_threads
        self.runtime = Runtime("torch", torch.__version__, str(self._device), like.num_threads)

    def logits(self, images: np.ndarray, batch_size: int = 256) -> np.ndarray:
        """float32 [N, K] for uint8 [N, C, H, W], in batches."""
        return np.concatenate(
            [
                self.run(np.array(images[start : start + batch_size]))
                for start in range(0, len(images), batch_size)
            ]
        )

    def run(self, images: np.ndarray) -> np.ndarray:
        """A whole batch at once; the answer is back in main memory."""
        if torch.get_num_threads() != self._num_threads:
            torch.set_num_threads(self._num_threads)
        with torch.inference_mode():
            logits: torch.Tensor = self._model(torch.from_numpy(images).to(self._device))
            answer: np.ndarray = logits.float().cpu().numpy()
        return answer


def _on_gpu(runtime: Runtime) -> bool:
    return runtime.provider == CUDA and torch.cuda.is_available()
