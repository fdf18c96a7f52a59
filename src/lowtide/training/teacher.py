"""A teacher's answers, asked once for each view of an image and kept."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lowtide.artifacts import atomic
from lowtide.controller.knobs import Precision
from lowtide.data.batches import Batch
from lowtide.errors import ArtifactError
from lowtide.training.recipe import autocast

LARGEST_BYTES = 2**30  # a larger table of answers is not kept: the teacher is asked each time


class TeacherAnswers:
    """Logits [B, K] of a frozen teacher for a batch.

    With `num_views` they are kept in a file, float32 [views, images, K], NaN where the teacher has
    not been asked yet; whoever opens the same file next (a resumed fit, fine-tuning after pruning)
    goes on from there. One table is kept in a folder.
    """

    def __init__(
        self,
        teacher: nn.Module,
        precision: Precision,
        path: Path,
        shape: tuple[int, int],
        num_views: int | None,
    ) -> None:
        self._teacher = teacher.eval().requires_grad_(False)
        self._precision = precision
        self._kept: np.ndarray | None = None
        if num_views is not None and 4 * num_views * shape[0] * shape[1] <= LARGEST_BYTES:
            self._kept = _open(path, (num_views, *shape))

    def __call__(self, batch: Batch) -> Tensor:
        if self._kept is None:
            return self._ask(batch.images)
        known = self._kept[batch.view, batch.rows]
        missing = np.isnan(known).any(axis=1)
        if missing.any():
            asked = self._ask(batch.images[torch.from_numpy(missing).to(batch.images.device)])
            known[missing] = asked.cpu().numpy()
            self._kept[batch.view, batch.rows] = known
        return torch.from_numpy(known).to(batch.images.device)

    def _ask(self, images: Tensor) -> Tensor:
        with torch.no_grad(), autocast(images.device, self._precision):
            logits: Tensor = self._teacher(images)
        return logits.float()


def _open(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """The table in the file, or a new one; tables of other teachers, now of no use, are deleted."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for other in path.parent.glob("*.npy*"):
            if other != path:
                other.unlink()
        kept = _map(path)
        if kept is None or kept.shape != shape:
            _create(path, shape)
            kept = _map(path)
    except OSError as error:
        raise ArtifactError(f"cannot keep the teacher's answers in {path}: {error}") from error
    assert kept is not None
    return kept


def _map(path: Path) -> np.ndarray | None:
    """None where there is no file, or none that holds a table."""
    try:
        kept: np.ndarray = np.lib.format.open_memmap(path, mode="r+")
    except (FileNotFoundError, ValueError):
        return None
    return kept


def _create(path: Path, shape: tuple[int, int, int]) -> None:
    """All NaN. Every byte is written: a hole would be found by the disk's being full in mid-fit."""
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    unasked = np.full(shape[1:], np.nan, "<f4").tobytes()
    with atomic(path) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for _ in range(shape[0]):
            file.write(unasked)
