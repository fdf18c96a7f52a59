"""The whole chain on real image files, from prepare to the verdict, without any server."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from lowtide.artifacts import ANSWERS, LEDGER, STAGES, STATE, report_path
from lowtide.cli import app
from lowtide.energy.ledger import Ledger
from lowtide.errors import LockedError, UsageError
from lowtide.evaluation.answers import read_answers
from lowtide.lock import HELD, pipeline_lock
from lowtide.params import load_params
from lowtide.report.passport import HTML, write_passport
from lowtide.runtime.onnx_model import OnnxModel
from lowtide.serving.model import ServedModel
from lowtide.session import load_session
from lowtide.stages.run import run_stage
from tests.evaluation.champions import bring

CLASSES = ("dark", "middle", "light, almost white")


def draw_images(folder: Path) -> Path:
    """60 grey PNGs of 24x40 in 3 classes that a small network can tell apart."""
    generator = np.random.default_rng(0)
    for label, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for index in range(20):
            pixels = generator.integers(0, 60, (24, 40)) + 90 * label
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{index}.png")
    return folder


@pytest.fixture
def finished(checkout: Path, write_params: Callable[..., Path]) -> Path:
    images = draw_images(checkout / "images")
    write_params(
        data={"source": "imagefolder", "path": str(images)},
        compress={"energy_ratio_min": 1e6},  # out of reach
    )
    for stage in STAGES:
        run_stage(stage)
    return checkout


def test_an_image_folder_runs_through_to_a_verdict(
    capsys: pytest.CaptureFixture[str], finished: Path
) -> None:
    reports = {stage: json.loads(report_path(stage).read_text()) for stage in STAGES}
    assert reports["judge"]["passed"] in (True, False)
    assert {r["check"] for r in reports["judge"]["reasons"]} >= {"accuracy", "inference_energy_j"}
    assert set(reports["evaluate"]["candidates"]) == {"teacher", "student", "fp32", "int8"}
    assert reports["prune"]["num_macs"] < reports["distill"]["num_macs"]
    assert all(r["provenance"]["clock"] == "replay" for r in reports.values())
    assert reports["train"]["mlflow_run_id"] is not None
    assert len({report["pipeline_id"] for report in reports.values()}) == 1
    session = load_session(STATE)
    assert session is not None
    assert not session.open

    with Ledger(LEDGER) as ledger:
        for stage in ("train", "distill"):
            totals = ledger.totals(reports[stage]["stage_run_id"])
            assert reports[stage]["energy_kwh"] == pytest.approx(totals.energy_kwh)

    _require_evaluated(reports["evaluate"])
    assert f"evaluate: {reports['evaluate']['target']['said']}\n" in capsys.readouterr().err
    assert reports["judge"]["passed"] == all(r["passed"] for r in reports["judge"]["reasons"])
    assert not [r for r in reports["judge"]["reasons"] if "energy_ratio" in r["check"]]
    for candidate in reports["export"]["candidates"].values():
        served = ServedModel.open(Path(candidate["path"]), name="any", num_threads=1)
        assert served.labels == tuple(sorted(CLASSES))
    metadata = OnnxModel(Path(reports["export"]["model_path"])).metadata
    assert metadata["lowtide.opset"] == str(reports["export"]["opset"])
    num_stages = 4 if reports["evaluate"]["model"] == "int8" else 3
    making = ("train", "distill", "prune", "quantize")[:num_stages]
    assert float(metadata["lowtide.training_energy_kwh"]) == pytest.approx(
        sum(reports[stage]["energy_kwh"] for stage in making), rel=1e-5
    )
    assert metadata["lowtide.training_energy_provenance"] == "estimated"

    judged = CliRunner().invoke(app, ["judge", "--json"])
    assert judged.exit_code == (0 if reports["judge"]["passed"] else 3)
    assert json.loads(judged.stdout)["champion"] is None
    _require_beside_champion(reports)

    write_passport(load_params(Path("params.yaml")))
    page = HTML.read_text()
    assert "<svg" in page
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "") \
        .replace("http://creativecommons.org", "")  # fmt: skip

    image = next((finished / "images" / CLASSES[2]).glob("*.png"))
    predicted = CliRunner().invoke(app, ["predict", "artifacts/model.int8.onnx", str(image),
                                         "--json"])  # fmt: skip
    answer = json.loads(predicted.stdout)["predictions"][0]
    assert answer["label"] in CLASSES

    with Path("reports/predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {name for row in rows for name in row.values()} <= set(CLASSES)
    assert len(rows) == reports["evaluate"]["num_images"]


def _require_evaluated(evaluated: dict[str, Any]) -> None:
    """Layers and figures agree with each other, and the tables with them."""
    assert set(evaluated["layers"]) == {"teacher", evaluated["model"]}
    macs = [layer["num_macs"] for layer in evaluated["layers"]["teacher"]]
    assert sum(macs) == evaluated["candidates"]["teacher"]["num_macs"]
    assert evaluated["teacher_torch"]["accuracy"] == evaluated["candidates"]["teacher"]["accuracy"]
    _require_target(evaluated)
    whole, fp32 = evaluated["teacher_torch"], evaluated["candidates"]["fp32"]
    assert fp32["times_less"]["teacher_torch"]["num_macs"] == whole["num_macs"] / fp32["num_macs"]
    with Path("reports/candidates.csv").open(newline="") as file:
        chain = {row["candidate"]: row for row in csv.DictReader(file)}
    assert list(chain) == ["teacher_torch", "teacher", "student", "fp32", "int8"]
    teacher, int8 = (evaluated["candidates"][name]["size_bytes"] for name in ("teacher", "int8"))
    told = float(chain["int8"]["size_bytes_times_less_than_teacher"])
    assert told == pytest.approx(teacher / int8)  # which layers stay float is up to the clock
    with Path("reports/layers.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == sum(map(len, evaluated["layers"].values()))


def _require_target(evaluated: dict[str, Any]) -> None:
    """It is said that the target is missed, by the figures of the file that was chosen."""
    target, chosen = evaluated["target"], evaluated["candidates"][evaluated["model"]]
    assert target["energy_ratio_min"] == 1e6
    assert target["times_less"] == chosen["times_less"]["teacher"]["inference_energy_j"]
    assert not target["met"]
    assert "(compress.energy_ratio_min) is missed; " in target["said"]


def _require_beside_champion(reports: dict[str, dict[str, Any]]) -> None:
    """Its teacher as champion: on the same images, and in the verdict."""
    bring(Path("artifacts/teacher.fp32.onnx"), 3)
    for stage in ("evaluate", "judge"):
        run_stage(stage)
    champion = json.loads(report_path("evaluate").read_text())["champion"]
    assert champion["accuracy"] == reports["evaluate"]["candidates"]["teacher"]["accuracy"]
    assert champion["latency_ms_p95"] > 0
    verdict = json.loads(report_path("judge").read_text())
    assert verdict["champion"] == {"version": 3, "sha256": champion["sha256"]}
    reasons = {reason["check"]: reason for reason in verdict["reasons"]}
    assert reasons["champion_drop_high"]["value"] is not None
    assert reasons["robustness_drop_high"]["value"] is not None
    assert reasons["provenance"]["passed"], reasons["provenance"]["detail"]
    answers = read_answers(ANSWERS)
    assert np.array_equal(answers.named["champion"], answers.named["teacher"])


def test_an_unknown_stage_lists_the_known_ones(write_params: Callable[..., Path]) -> None:
    write_params()
    with pytest.raises(UsageError, match="prepare, train"):
        run_stage("deploy")


@pytest.mark.usefixtures("checkout")
def test_two_pipelines_in_one_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    with pipeline_lock(STATE), monkeypatch.context() as another:
        another.delenv(HELD)
        with pytest.raises(LockedError, match=r"pid \d+"), pipeline_lock(STATE):
            pass
