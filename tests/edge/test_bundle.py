"""A bundle is the same bytes each time, answers as predict does, and refuses what has changed."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from lowtide.artifacts import file_sha256
from lowtide.edge.bundle import checksums, write_bundle
from lowtide.edge.description import describe
from lowtide.energy import counting
from lowtide.errors import ArtifactError, ModelError
from lowtide.evaluation import predict
from lowtide.evaluation.predict import predict_files
from tests.edge.conftest import LABELS, label
from tests.runtime.files import write_classifier


def unpacked(model: Path, folder: Path) -> Path:
    write_bundle(model, folder / "forest.zip")
    shutil.unpack_archive(folder / "forest.zip", folder)
    return folder / "forest"


def run(bundle: Path, *images: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, bundle / "run.py", *images], capture_output=True, text=True, check=False
    )


def refusal(bundle: Path, *images: Path) -> str:
    """Its only line."""
    done = run(bundle, *images)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    return line


@pytest.fixture
def bundle(model: Path, tmp_path: Path) -> Path:
    return unpacked(model, tmp_path)


@pytest.mark.parametrize("normalised", [False, True])
def test_the_runner_answers_as_predict_does(
    model: Path, pictures: list[Path], tmp_path: Path, normalised: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(counting, "open_sources", list)
    monkeypatch.setattr(predict, "MEASURE_S", 0.01)
    if normalised:
        label(model, **{"lowtide.mean": "[90, 100, 110.5]", "lowtide.std": "[60, 61, 62]"})
    expected = predict_files(model, pictures)["predictions"]
    assert len({one["label"] for one in expected}) > 1
    done = run(unpacked(model, tmp_path), *pictures)
    assert done.stdout.splitlines() == [
        f"{one['path']}: {one['label']} ({one['probability']:.2f})" for one in expected
    ], done.stderr


def test_it_holds_what_a_device_needs(bundle: Path, model: Path) -> None:
    assert {path.name for path in bundle.iterdir()} == {
        "README.md", "SHA256SUMS", "images.py", "labels.txt", "model.json", "model.onnx",
        "requirements.txt", "run.py",
    }  # fmt: skip
    assert (bundle / "labels.txt").read_text().split() == LABELS
    requirements = (bundle / "requirements.txt").read_text().splitlines()
    assert [line.partition("==")[0] for line in requirements] == ["numpy", "onnxruntime"]
    assert (bundle / "model.onnx").read_bytes() == model.read_bytes()
    checked = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=bundle)
    assert checked.returncode == 0
    readme = (bundle / "README.md").read_text()
    assert "RGB images of 8 x 8" in readme
    assert "Nothing was measured" in readme


def test_the_same_input_gives_the_same_bytes(model: Path, tmp_path: Path) -> None:
    first = write_bundle(model, tmp_path / "a/forest.zip")
    second = write_bundle(model, tmp_path / "b/forest.zip")
    assert first["sha256"] == second["sha256"]


def test_what_has_changed_is_named(bundle: Path, pictures: list[Path]) -> None:
    content = (bundle / "model.onnx").read_bytes()
    (bundle / "model.onnx").write_bytes(content[:-100])
    assert "model.onnx is not what SHA256SUMS says" in refusal(bundle, *pictures)
    (bundle / "model.onnx").unlink()
    assert "model.onnx" in refusal(bundle, *pictures)
    (bundle / "SHA256SUMS").unlink()
    assert "SHA256SUMS" in refusal(bundle, *pictures)


def repacked(bundle: Path) -> None:
    """Checksums of what is there now, as if it had been packed so."""
    members = {path.name: path.read_bytes() for path in bundle.iterdir() if path.is_file()}
    members.pop("SHA256SUMS")
    (bundle / "SHA256SUMS").write_bytes(checksums(members))


def test_no_labels_or_no_whole_model_is_one_line(bundle: Path, pictures: list[Path]) -> None:
    about = json.loads((bundle / "model.json").read_text())
    (bundle / "model.json").write_text(json.dumps(about | {"labels": []}))
    repacked(bundle)
    assert refusal(bundle, *pictures) == "run.py: model.json has no labels: make the bundle again"
    (bundle / "model.json").write_text(json.dumps(about))
    (bundle / "model.onnx").write_bytes((bundle / "model.onnx").read_bytes()[:-100])
    repacked(bundle)
    assert "model.onnx" in refusal(bundle, *pictures)


def test_an_image_that_is_none_is_one_line(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image")
    said = refusal(bundle, tmp_path / "text.png")
    assert said.endswith(
        "text.png cannot be read as an image: it is of no format that Pillow knows"
    )
    assert "none.png cannot be read" in refusal(bundle, tmp_path / "none.png")
    assert refusal(bundle) == "usage: python run.py IMAGE..."


def test_a_damaged_archive_does_not_unpack(model: Path, tmp_path: Path) -> None:
    write_bundle(model, tmp_path / "forest.zip")
    content = bytearray((tmp_path / "forest.zip").read_bytes())
    content[len(content) // 2] ^= 255
    (tmp_path / "forest.zip").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "forest.zip") as archive:
        assert archive.testzip() is not None


def test_a_model_without_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has no labels inside"):
        describe(write_classifier(tmp_path / "bare.onnx"))
    (tmp_path / "broken.onnx").write_bytes((tmp_path / "bare.onnx").read_bytes()[:-100])
    with pytest.raises(ArtifactError, match="cannot be opened"):
        write_bundle(tmp_path / "broken.onnx", tmp_path / "b.zip")
    assert not (tmp_path / "b.zip").exists()


def reports(model: Path, sha256: str) -> None:
    Path("reports").mkdir(exist_ok=True)
    figures = {
        "accuracy": 0.91, "inference_energy_j": 2e-4, "latency_ms_p50": 0.1,
        "provenance": "measured", "batch_size": 64, "sha256": sha256,
    }  # fmt: skip
    for name, content in {
        "export": {"candidates": {"int8": {"path": str(model)}}},
        "evaluate": {
            "candidates": {"int8": figures}, "num_images": 5, "provenance": {"machine": "x86_64"},
            "runtime": {"name": "onnxruntime"},
        },
    }.items():  # fmt: skip
        Path(f"reports/{name}.json").write_text(json.dumps(content))


def test_figures_are_those_of_this_file_alone(model: Path) -> None:
    assert describe(model)["measured"] is None
    reports(model, file_sha256(model))
    found = describe(model)["measured"]
    assert found["inference_energy_j"] == 2e-4
    assert (found["provenance"], found["machine"], found["batch_size"]) == (
        "measured", "x86_64", 64,
    )  # fmt: skip
    label(model, **{"lowtide.training_energy_kwh": "0.002"})  # trained anew, and as large
    assert describe(model)["measured"] is None
