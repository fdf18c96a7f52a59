"""Each file has its turns; what other work does meanwhile is not counted."""

import time

import numpy as np
import pytest

from lowtide.runtime.onnx_model import Runtime
from lowtide.runtime.turns import CALLS_MIN, quickest_calls


class Sleeper:
    """Takes 20 ms by the clock and next to nothing of the processor."""

    def __init__(self, provider: str) -> None:
        self.runtime = Runtime("onnxruntime", "1", provider, 1)
        self.num_calls = 0

    def run(self, images: np.ndarray) -> np.ndarray:
        assert images.shape == (2, 3, 4, 4)
        self.num_calls += 1
        time.sleep(0.02)
        return images


@pytest.mark.parametrize(
    ("provider", "low_s", "high_s"),
    [("CPUExecutionProvider", 0.0, 0.015), ("CUDAExecutionProvider", 0.02, 5.0)],
)
def test_a_processor_is_timed_by_what_it_worked(
    provider: str, low_s: float, high_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lowtide.runtime.turns.TURN_S", 0.0)
    models = {"a": Sleeper(provider), "b": Sleeper(provider)}
    seconds = quickest_calls(models, np.zeros((2, 3, 4, 4), np.uint8), num_turns=2)  # type: ignore[arg-type]
    assert set(seconds) == {"a", "b"}
    assert all(low_s <= value < high_s for value in seconds.values())
    assert all(model.num_calls == 1 + 2 * CALLS_MIN for model in models.values())
