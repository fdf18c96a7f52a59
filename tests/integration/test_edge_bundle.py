"""The bundle where there is an interpreter, numpy and onnxruntime, and nothing else."""

import shutil
from pathlib import Path

import pytest

from benchmarks.edge import bare_environment, memory_mib, run, unpacked
from lowtide.energy import counting
from lowtide.evaluation import predict
from tests.edge.conftest import classifier, draw_pictures

pytestmark = pytest.mark.integration
MEMORY_MIB_MAX = 100


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bare_environment(tmp_path_factory.mktemp("bare") / "environment")


def test_the_environment_is_bare(python: Path) -> None:
    code = "import importlib.util as u; print([u.find_spec(n) for n in ('PIL', 'pip', 'lowtide')])"
    assert run(python, "-c", code).strip() == "[None, None, None]"


def test_it_labels_as_predict_does(
    python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "open_sources", list)
    monkeypatch.setattr(predict, "MEASURE_S", 0.01)
    model, images = classifier(tmp_path / "m.onnx"), draw_pictures(tmp_path)
    found = run(python, str(unpacked(model, tmp_path) / "run.py"), *map(str, images))
    assert found.splitlines() == [
        f"{one['path']}: {one['label']} ({one['probability']:.2f})"
        for one in predict.predict_files(model, images)["predictions"]
    ]


def test_it_stays_under_100_mib(python: Path, tmp_path: Path) -> None:
    bundle = unpacked(classifier(tmp_path / "m.onnx"), tmp_path)
    image = draw_pictures(tmp_path)[0]
    assert memory_mib(python, bundle, str(image)) < MEMORY_MIB_MAX


def test_its_folder_may_be_moved(python: Path, tmp_path: Path) -> None:
    bundle = unpacked(classifier(tmp_path / "m.onnx"), tmp_path)
    moved = shutil.move(bundle, tmp_path / "a folder, elsewhere")
    assert run(python, f"{moved}/run.py", str(draw_pictures(tmp_path)[0]))
