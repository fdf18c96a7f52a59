"""`lowtide search --apply`: what was chosen gets into the params file, or a line says why not."""

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from lowtide.cli import app
from lowtide.errors import ParamsError, UsageError
from lowtide.params import load_params
from lowtide.search.patch import PATCH, write_patch
from tests.conftest import ROOT

CHOSEN = {"model": {"student": "tidenet-8-16-32x1"}, "distill": {"epochs": 7}}


@pytest.fixture
def params_file(checkout: Path) -> Path:
    return Path(shutil.copy(ROOT / "params.yaml", checkout / "mine.yaml"))


def apply(params_file: Path) -> Result:
    return CliRunner().invoke(app, ["search", "--apply", "--params", str(params_file)])


def test_apply_writes_what_was_chosen_and_says_so(params_file: Path) -> None:
    before = params_file.read_text().splitlines()
    write_patch(CHOSEN)
    done = apply(params_file)
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == (
        f"search: wrote model.student=tidenet-8-16-32x1, distill.epochs=7 into {params_file}\n"
    )
    found = load_params(params_file)
    assert (found.model.student, found.distill.epochs) == ("tidenet-8-16-32x1", 7)
    after = params_file.read_text().splitlines()
    assert sum(old != new for old, new in zip(before, after, strict=True)) == 2
    assert apply(params_file).exit_code == 0  # once more changes nothing
    assert params_file.read_text().splitlines() == after


def test_apply_without_a_search_before_it_is_refused(params_file: Path) -> None:
    before = params_file.read_text()
    refused = apply(params_file).exception
    assert isinstance(refused, UsageError)
    assert str(refused) == f"there is no {PATCH}: run `lowtide search --budget-g G` first"
    assert params_file.read_text() == before


def test_apply_of_what_params_cannot_hold_leaves_the_file(params_file: Path) -> None:
    before = params_file.read_text()
    write_patch({"distill": {"epochs": 0}})
    assert isinstance(apply(params_file).exception, ParamsError)
    assert params_file.read_text() == before
