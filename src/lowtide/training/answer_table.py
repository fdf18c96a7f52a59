"""The file in which a teacher's answers are kept; a folder has that of one teacher."""

from pathlib import Path

import numpy as np

from lowtide.artifacts import atomic
from lowtide.errors import ArtifactError

LARGEST_BYTES = 2**30  # a larger table is not kept: the teacher is asked each time

Shape = tuple[int, int, int]  # views, images, numbers of an answer


def table_bytes(shape: Shape) -> int:
    return 4 * shape[0] * shape[1] * shape[2]


def open_table(path: Path, shape: Shape) -> np.ndarray:
    """The float32 table in the file, or a new one that is all NaN; others are deleted.

    Raises:
        ArtifactError: it cannot be opened, or there is no space for it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        delete_others(path)
        table = _map(path)
        if table is None or table.shape != shape:
            _create(path, shape)
            table = _map(path)
    except OSError as error:
        raise ArtifactError(f"cannot keep the teacher's answers in {path}: {error}") from error
    assert table is not None
    return table


def delete_others(path: Path) -> None:
    """What is kept in the folder of other teachers, or half written, and is of no use now."""
    for other in path.parent.glob("*"):
        if other.stem != path.stem:
            other.unlink()


def _map(path: Path) -> np.ndarray | None:
    """None where there is no file, or none that holds a table."""
    try:
        table: np.ndarray = np.lib.format.open_memmap(path, mode="r+")
    except (FileNotFoundError, ValueError):
        return None
    return table


def _create(path: Path, shape: Shape) -> None:
    """Every byte is written: a hole would be found by the disk's being full in mid-fit."""
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    unasked = np.full(shape[1:], np.nan, "<f4").tobytes()
    with atomic(path) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for _ in range(shape[0]):
            file.write(unasked)
