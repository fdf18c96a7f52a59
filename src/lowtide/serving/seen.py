"""A sample of what has come in lately, as few numbers as drift can be told from."""

import threading

import numpy as np

from lowtide.serving.drift import image_statistics

KEPT = 4096  # images
PER_BATCH = 8  # looked at: the rest of a large batch costs nothing


class Seen:
    """The last images' statistics and labels; may be used from any thread. No image is kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: np.ndarray | None = None
        self._labels = np.zeros(KEPT, np.int64)
        self._count = 0

    def add(self, images: np.ndarray, logits: np.ndarray) -> None:
        rows = image_statistics(images[:PER_BATCH])
        with self._lock:
            if self._rows is None or self._rows.shape[1] != rows.shape[1]:
                self._rows, self._count = np.zeros((KEPT, rows.shape[1]), np.float32), 0
            places = (self._count + np.arange(len(rows))) % KEPT
            self._rows[places] = rows
            self._labels[places] = logits[:PER_BATCH].argmax(1)
            self._count += len(rows)

    def clear(self) -> None:
        """Another model answers: its labels are not mixed with the last one's."""
        with self._lock:
            self._count = 0

    def snapshot(self) -> tuple[np.ndarray, np.ndarray]:
        """(float32 [N, 2 C] statistics, int64 [N] predicted classes)."""
        with self._lock:
            num = min(self._count, KEPT)
            rows = np.zeros((0, 0), np.float32) if self._rows is None else self._rows[:num].copy()
            return rows, self._labels[:num].copy()
