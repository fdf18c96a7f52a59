"""`lowtide bundle`: the model that is named or was chosen, as an archive, as a page, as both."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from lowtide.cli import app
from lowtide.errors import ArtifactError, LowtideError, UsageError
from tests.edge.conftest import classifier


@pytest.fixture
def chosen(checkout: Path) -> Path:
    (checkout / "reports").mkdir()
    Path("reports/export.json").write_text(json.dumps({"model_path": "m.onnx", "candidates": {}}))
    return classifier(checkout / "m.onnx")


def lowtide(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["bundle", *arguments])


def test_json_says_what_was_written(chosen: Path) -> None:
    content = json.loads(lowtide("--out", "forest.zip", "--json").output)
    assert content["model"] == "m.onnx"
    assert content["bundle"]["size_bytes"] == Path("forest.zip").stat().st_size
    assert "run.py" in content["bundle"]["files"]
    assert lowtide(str(chosen), "--out", "b.zip").output.startswith("wrote b.zip, 0.0")


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ([], UsageError, "nothing to write: give --out FILE.zip, --web FOLDER"),
        (["none.onnx", "--out", "a.zip"], ArtifactError, "there is no model none.onnx"),
        (["--out", "typo/a.zip"], UsageError, "--out typo/a.zip: there is no folder typo"),
        (["--out", "m.onnx/a.zip"], UsageError, "there is no folder m.onnx: make it"),
        (["--web", "site"], ArtifactError, "no page in deploy/edge"),
    ],
)
@pytest.mark.usefixtures("chosen")
def test_what_cannot_be_bundled_is_one_line(
    arguments: list[str], kind: type[LowtideError], message: str
) -> None:
    result = lowtide(*arguments)
    assert isinstance(result.exception, kind)
    with pytest.raises(kind, match=message):
        raise result.exception


@pytest.mark.usefixtures("checkout")
def test_without_a_pipeline_a_model_has_to_be_named() -> None:
    result = lowtide("--out", "a.zip")
    assert isinstance(result.exception, ArtifactError)
    assert "lowtide stage export" in str(result.exception)
