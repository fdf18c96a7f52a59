"""Files are written whole or not at all."""

import errno
from pathlib import Path

import pytest

from lowtide.artifacts import DATA, atomic, read_json, report_path, write_json
from lowtide.errors import ArtifactError


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_json(path, {"a": 1})
    with pytest.raises(ArtifactError, match=r"cannot write .*report.json: No space left on device"):
        _fill_up(path)
    assert read_json(path) == {"a": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["report.json"]


def _fill_up(path: Path) -> None:
    with atomic(path) as temporary:
        temporary.write_text('{"a": ')
        raise OSError(errno.ENOSPC, "No space left on device")


def test_an_error_of_another_kind_goes_through_and_cleans_up(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), atomic(tmp_path / "x"):
        _ = 1 / 0
    assert list(tmp_path.iterdir()) == []


def test_figures_that_are_not_numbers_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nan"):
        write_json(tmp_path / "x.json", {"accuracy": float("nan")})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "is missing"), ("{", "cannot be read"), ("[]", "expected a JSON object")],
)
def test_a_report_that_cannot_be_used_says_why(
    tmp_path: Path, content: str | None, message: str
) -> None:
    path = tmp_path / "report.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ArtifactError, match=message):
        read_json(path)


@pytest.mark.parametrize(
    ("path", "maker"),
    [
        (DATA / "card.json", "run `lowtide stage prepare`"),
        (report_path("distill"), "run `lowtide stage distill`"),
        (Path("elsewhere.json"), "run the stage that writes it"),
    ],
)
@pytest.mark.usefixtures("checkout")
def test_what_is_missing_is_named_with_the_stage_that_makes_it(path: Path, maker: str) -> None:
    with pytest.raises(ArtifactError, match=maker):
        read_json(path)
