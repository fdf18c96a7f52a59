"""The file of a teacher's answers is whole, or an error of ours."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lowtide.errors import ArtifactError
from lowtide.training.answer_table import open_table

SHAPE = (2, 20, 2)

# Opens a table while files may not grow beyond 200 bytes: that kills, or is a full disk.
PROGRAM = """
import resource, signal, sys
from pathlib import Path
from lowtide.errors import ArtifactError
from lowtide.training.answer_table import open_table

resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
if sys.argv[2] == "kill":
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
try:
    open_table(Path(sys.argv[1]), (2, 20, 2))
except ArtifactError as error:
    sys.exit(str(error))
"""


def test_what_is_written_is_there_when_it_is_opened_again(tmp_path: Path) -> None:
    table = open_table(tmp_path / "a.npy", SHAPE)
    assert np.isnan(table).all()
    table[1, 3] = 7.0
    again = open_table(tmp_path / "a.npy", SHAPE)
    assert (again[1, 3] == 7.0).all()
    assert np.isnan(again).sum() == 78


def test_a_table_of_another_shape_is_made_anew(tmp_path: Path) -> None:
    open_table(tmp_path / "a.npy", SHAPE)[:] = 1.0
    assert np.isnan(open_table(tmp_path / "a.npy", (2, 20, 3))).all()


def test_a_kill_while_the_table_is_made_leaves_none_behind(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(path), "kill"], check=False)
    assert done.returncode < 0
    assert np.isnan(open_table(path, SHAPE)).all()
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_said_when_the_table_is_made(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "a.npy"), "full"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.stderr.startswith("cannot write ")
    assert not list(tmp_path.iterdir())


def test_tables_of_other_teachers_are_deleted(tmp_path: Path) -> None:
    for name in ("a.npy", "b.npy"):
        open_table(tmp_path / name, SHAPE)
    assert [file.name for file in tmp_path.iterdir()] == ["b.npy"]


def test_a_table_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.npy").mkdir()
    with pytest.raises(ArtifactError, match=r"cannot keep .*a\.npy"):
        open_table(tmp_path / "a.npy", SHAPE)
