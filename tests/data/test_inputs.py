"""New images or an edited network change a fingerprint; nothing else does."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lowtide.data.inputs import write_inputs
from lowtide.params import load_params
from tests.conftest import edit_params


@pytest.fixture
def found(write_params: Callable[..., Path], checkout: Path) -> Callable[[], dict[str, str]]:
    (checkout / "images/train/a").mkdir(parents=True)
    (checkout / "images/train/a/1.png").write_bytes(b"1")
    (checkout / "nets.py").write_text("def net(c, s, k): ...\n")
    path = write_params(
        data={"source": "imagefolder", "path": str(checkout / "images")},
        model={"teacher": "nets:net"},
    )
    return lambda: write_inputs(load_params(path))


def test_the_same_inputs_have_the_same_fingerprints(found: Callable[[], dict[str, str]]) -> None:
    assert found() == found()
    assert Path("artifacts/inputs/data").read_text().strip() == found()["data"]


def test_an_image_more_changes_the_data_alone(found: Callable[[], dict[str, str]]) -> None:
    before = found()
    Path("images/train/a/2.png").write_bytes(b"2")
    after = found()
    assert {name for name in before if before[name] != after[name]} == {"data"}


def test_an_edited_factory_changes_the_teacher_alone(found: Callable[[], dict[str, str]]) -> None:
    before = found()
    Path("nets.py").write_text("def net(c, s, k): return 1\n")
    after = found()
    assert {name for name in before if before[name] != after[name]} == {"teacher"}


def test_a_student_that_is_not_named_is_the_teacher(
    found: Callable[[], dict[str, str]],
) -> None:
    edit_params(Path("params.yaml"), model={"student": None})
    before = found()
    assert before["student"] == before["teacher"]
    Path("nets.py").write_text("def net(c, s, k): return 1\n")
    after = found()
    assert {name for name in before if before[name] != after[name]} == {"teacher", "student"}


def test_what_is_missing_is_left_to_the_stage_to_name(
    write_params: Callable[..., Path], checkout: Path
) -> None:
    path = write_params(
        data={"source": "npz", "path": str(checkout / "none.npz")}, model={"student": "gone:net"}
    )
    assert "missing" in write_inputs(load_params(path))["student"]
