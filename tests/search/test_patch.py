"""The chosen configuration gets into params.yaml, and nothing else changes there."""

import difflib
import shutil
from pathlib import Path

import pytest

from lowtide.errors import ParamsError, UsageError
from lowtide.params import load_params
from lowtide.search.patch import apply_patch, read_patch, write_patch
from tests.conftest import ROOT

SECTIONS = {
    "model": {"student": "tidenet-24p2-32x1-64x1"},
    "distill": {"epochs": 9, "learning_rate": 0.0731, "views": None},
}


@pytest.mark.parametrize("name", ["params.yaml", "examples/cifar10/params.yaml"])
def test_only_the_values_change(checkout: Path, name: str) -> None:
    path = Path(shutil.copy(ROOT / name, checkout / "params.yaml"))
    write_patch(SECTIONS)
    apply_patch(path, read_patch())
    before, after = (ROOT / name).read_text().splitlines(), path.read_text().splitlines()
    changed = [line for line in difflib.ndiff(before, after) if line[0] in "+-"]
    keys = sorted(line.split()[1] for line in changed)
    assert keys == sorted(2 * ["student:", "epochs:", "learning_rate:", "views:"])
    assert [line.partition("#")[2] for line in before] == [line.partition("#")[2] for line in after]
    found = load_params(path)
    assert found.model.student == "tidenet-24p2-32x1-64x1"
    assert (found.distill.epochs, found.distill.learning_rate) == (9, 0.0731)


def test_a_patch_that_would_break_the_file_leaves_it(checkout: Path) -> None:
    path = Path(shutil.copy(ROOT / "params.yaml", checkout))
    with pytest.raises(ParamsError, match=r"distill\.epochs"):
        apply_patch(path, {"distill": {"epochs": 0}})
    assert path.read_text() == (ROOT / "params.yaml").read_text()


@pytest.mark.usefixtures("checkout")
def test_without_a_search_there_is_nothing_to_apply() -> None:
    with pytest.raises(UsageError, match="run `lowtide search --budget-g G` first"):
        read_patch()
