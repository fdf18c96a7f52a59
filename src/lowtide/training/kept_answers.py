"""A teacher's answers, kept in a file if that is worth it; the decision lies beside the file."""

import time
from dataclasses import asdict
from pathlib import Path

from lowtide.artifacts import read_json, write_json
from lowtide.data.batches import Batch
from lowtide.energy.totals import Window
from lowtide.errors import ArtifactError
from lowtide.training.answer_table import (
    LARGEST_BYTES,
    Shape,
    delete_others,
    open_table,
    table_bytes,
)
from lowtide.training.keeping import (
    Demand,
    Keeping,
    decide,
    measure,
    turn_s,
    without_measuring,
)
from lowtide.training.teacher import Teacher, TeacherAnswers


def open_answers(
    teacher: Teacher, path: Path, shape: Shape, needed: Demand, batch: Batch, window: Window
) -> tuple[TeacherAnswers, Keeping]:
    """Kept in `path`, float32 of the shape, or asked each time.

    A fit that goes on after a kill decides as before; one that finds a table goes on with it. The
    batch is one of the fit's, which stands for all.

    Raises:
        ArtifactError: the table or the decision cannot be written.
    """
    record = path.with_suffix(".json")
    keeping = _decided(record, path, needed)
    if keeping is None:
        keeping = without_measuring(needed, table_bytes(shape), LARGEST_BYTES)
        keeping = keeping or _measured(teacher, path, shape, needed, batch, window)
        write_json(record, asdict(keeping))
    if keeping.kept:
        return TeacherAnswers(teacher, open_table(path, shape)), keeping
    path.unlink(missing_ok=True)
    delete_others(path)
    return TeacherAnswers(teacher, None), keeping


def _measured(
    teacher: Teacher, path: Path, shape: Shape, needed: Demand, batch: Batch, window: Window
) -> Keeping:
    """The answers to the batch are in the table then: they are asked for the fit as well."""
    kept, num_images = TeacherAnswers(teacher, open_table(path, shape)), len(batch.labels)
    kept(batch)  # which warms up, too
    started = time.perf_counter()
    teacher(batch.images)
    seconds = turn_s(time.perf_counter() - started, needed.num_needed / num_images)
    ask = measure(lambda: teacher(batch.images), num_images, seconds, window)
    read = measure(lambda: kept(batch), num_images, seconds, window)
    return decide(needed, ask, read, window.totals().provenance)


def _decided(record: Path, path: Path, needed: Demand) -> Keeping | None:
    """Before, for the same fit, or for an earlier one whose table is there."""
    try:
        keeping = Keeping(**read_json(record))
    except (ArtifactError, TypeError):
        return None
    same = (keeping.num_asked, keeping.num_needed) == (needed.num_asked, needed.num_needed)
    return keeping if same or (keeping.kept and path.exists()) else None
