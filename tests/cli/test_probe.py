"""`lowtide probe`: a table or JSON of files side by side, one line for what cannot be probed."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from lowtide.cli import app
from lowtide.energy import counting
from lowtide.errors import ArtifactError, DataError, LowtideError, UsageError
from lowtide.runtime import probe
from tests.runtime.files import write_classifier

QUICK = ["--repeats", "3", "--batch-size", "4", "--threads", "1"]


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(probe, "WARM_UP_S", 0.01)
    monkeypatch.setattr(probe, "TURN_S", 0.02)
    monkeypatch.setattr(counting, "open_sources", list)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """One that is much quicker than the other."""
    wide = write_classifier(tmp_path / "wide.onnx", side=32, width=128)
    narrow = write_classifier(tmp_path / "narrow.onnx", side=32, width=8)
    return [wide.name, narrow.name]


def lowtide(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["probe", *arguments])


def test_json_has_figures_ratios_and_what_they_rest_on(files: list[str]) -> None:
    content = json.loads(lowtide(*files, *QUICK, "--json", "--layers").output)
    assert content["reference"] == "wide.onnx"
    assert content["images"] == "noise"
    assert content["energy"] == {"provenance": "unknown", "sources": {}}
    assert content["runtime"]["num_threads"] == 1
    assert content["host"]["cpu_count"] >= 1
    wide, narrow = (content["models"][name] for name in files)
    assert wide["time_ratio"] == {"median": 1.0, "low": 1.0, "high": 1.0}
    assert narrow["time_ratio"]["median"] > 1
    assert narrow["energy_ratio"] is None
    assert (narrow["num_repeats"], narrow["batch_size"]) == (3, 4)
    assert narrow["size_bytes"] == Path("narrow.onnx").stat().st_size
    assert max(layer["num_macs"] for layer in narrow["layers"]) == 8 * 27 * 32 * 32


def test_the_reference_comes_first_and_once(files: list[str]) -> None:
    arguments = [*files, "--reference", "narrow.onnx", *QUICK, "--json"]
    content = json.loads(lowtide(*arguments).output)
    assert content["reference"] == "narrow.onnx"
    assert list(content["models"]) == ["narrow.onnx", "wide.onnx"]
    assert content["models"]["wide.onnx"]["time_ratio"]["median"] < 1


def test_the_table_says_what_is_unknown_and_where_it_was_taken(files: list[str]) -> None:
    printed = lowtide(*files, *QUICK, "--layers").output
    row = next(line for line in printed.splitlines() if line.strip().startswith("wide.onnx"))
    assert row.split()[1] == "unknown"
    assert f"{128 * 27 * 32 * 32:,}" in printed
    assert "3 turns each, interleaved, batch 4, of noise" in printed
    assert "times less than wide.onnx" in printed
    assert "energy unknown" in printed
    assert "onnxruntime" in printed


def test_images_of_a_folder_are_taken(files: list[str], tmp_path: Path) -> None:
    (tmp_path / "images/cats").mkdir(parents=True)
    Image.fromarray(np.zeros((40, 20, 3), np.uint8)).save(tmp_path / "images/cats/a.png")
    content = json.loads(lowtide(files[1], *QUICK, "--images", "images", "--json").output)
    assert content["images"] == "images"


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (["none.onnx"], ArtifactError, "there is no model none.onnx"),
        (["wide.onnx", "small.onnx"], UsageError, r"small.onnx takes images \[3, 8, 8\]"),
        (["wide.onnx", "--provider", "cuda"], UsageError, "provider cuda"),
        (["wide.onnx", "--provider", "cuda", "--layers"], UsageError, "--layers"),
        (["wide.onnx", "--images", "."], DataError, "no .png or .jpg"),
        (["fixed.onnx"], ArtifactError, "fixed.onnx cannot take images"),
    ],
)
@pytest.mark.usefixtures("files")
def test_what_cannot_be_probed_is_one_line(
    tmp_path: Path, arguments: list[str], kind: type[LowtideError], message: str
) -> None:
    write_classifier(tmp_path / "small.onnx", side=8)
    write_classifier(tmp_path / "fixed.onnx", batch=7)
    result = lowtide(*arguments, *QUICK)
    assert isinstance(result.exception, kind)
    with pytest.raises(kind, match=message):
        raise result.exception
    assert "\n" not in str(result.exception)
