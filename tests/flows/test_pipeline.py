"""The whole flow on digits, made small: one story told in order, in one checkout."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from lowtide.artifacts import STAGES
from lowtide.serving.model import ServedModel
from lowtide.serving.registered import download, look
from tests.servers import prefect_api

METRICS = {
    "test_accuracy",
    "teacher_accuracy",
    "training_energy_kwh",
    "training_emissions_g",
    "run_now_emissions_g",
    "inference_energy_j",
    "inference_batch_size",
    "inference_latency_ms_p50",
    "model_size_bytes",
}


def runs(project: Any, kind: str) -> list[Any]:
    """Newest first."""
    client = MlflowClient(project.tracking_uri)
    experiment = client.get_experiment_by_name("lowtide")
    return list(client.search_runs([experiment.experiment_id], f"tags.`lowtide.kind` = '{kind}'"))


def alias(project: Any, name: str) -> int:
    client = MlflowClient(project.tracking_uri, project.tracking_uri)
    return int(client.get_model_version_by_alias("lowtide-classifier", name).version)


def report(project: Any, stage: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((project.folder / f"reports/{stage}.json").read_text())
    return content


@pytest.fixture(scope="module")
def first_run(project: Any) -> str:
    """With the temporary server that a run has where there is no other."""
    done = project.flow()
    return str(done.stdout + done.stderr)


@pytest.fixture(scope="module")
def after_it(
    project: Any, first_run: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Further runs share a server, which spares each the start of its own."""
    assert first_run
    with prefect_api(project, tmp_path_factory.mktemp("server")):
        yield


def test_the_first_run_promotes_and_leaves_the_checkout_clean(project: Any, first_run: str) -> None:
    assert "promoted: version 1 is champion" in first_run
    assert "Traceback" not in first_run
    assert alias(project, "champion") == alias(project, "candidate") == 1
    assert project.run("git", "status", "--porcelain").stdout == ""
    page = (project.folder / "reports/passport.html").read_text()
    assert "replay clock" in page


def test_what_was_promoted_can_be_served(
    project: Any, first_run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert first_run
    monkeypatch.chdir(project.folder)  # where its registry's artifacts lie
    entry = look(project.tracking_uri, "champion")
    assert entry is not None
    download(project.tracking_uri, entry, tmp_path / "served.onnx")
    served = ServedModel.open(tmp_path / "served.onnx", name="any", num_threads=1)
    assert served.sha256 == entry.sha256 == report(project, "judge")["model_sha256"]


def test_every_stage_is_a_child_of_the_pipeline_run(project: Any, first_run: str) -> None:
    assert "verdict: passed" in first_run
    (pipeline,) = runs(project, "pipeline")
    assert pipeline.info.status == "FINISHED"
    assert set(pipeline.data.metrics) >= METRICS
    stages = runs(project, "stage")
    assert {run.data.tags["lowtide.stage"] for run in stages} == set(STAGES)
    assert {run.data.tags["mlflow.parentRunId"] for run in stages} == {pipeline.info.run_id}
    assert {run.info.run_id for run in stages} == {
        report(project, stage)["mlflow_run_id"] for stage in STAGES
    }
    train = next(run for run in stages if run.data.tags["lowtide.stage"] == "train")
    curve = MlflowClient(project.tracking_uri).get_metric_history(train.info.run_id, "loss")
    assert len(curve) >= 1
    assert train.data.params["train.epochs"] == "1"


def test_the_gate_chose_a_later_start(first_run: str) -> None:
    assert "starts" in first_run
    assert "h later" in first_run


@pytest.mark.usefixtures("after_it")
def test_a_second_run_finds_nothing_stale(project: Any) -> None:
    before = {stage: report(project, stage)["stage_run_id"] for stage in STAGES}
    printed = project.flow().stdout
    assert printed.count(" cached ") == len(STAGES)
    assert {stage: report(project, stage)["stage_run_id"] for stage in STAGES} == before
    newest = runs(project, "pipeline")[0]
    assert newest.data.tags["lowtide.cached.train"] == report(project, "train")["mlflow_run_id"]
    assert set(newest.data.metrics) >= METRICS
    assert alias(project, "champion") == 1


@pytest.mark.usefixtures("after_it")
def test_a_change_of_pruning_leaves_training_alone(project: Any) -> None:
    project.run("make", "track")
    project.commit()
    before = {stage: report(project, stage)["stage_run_id"] for stage in STAGES}
    project.edit(prune={"learning_rate": 0.03})
    project.run("dvc", "repro")
    after = {stage: report(project, stage)["stage_run_id"] for stage in STAGES}
    changed = {stage for stage in STAGES if before[stage] != after[stage]}
    assert changed == {"prune", "quantize", "export", "evaluate", "judge"}
    tags = runs(project, "pipeline")[0].data.tags
    assert {key for key in tags if key.startswith("lowtide.cached.")} == {
        f"lowtide.cached.{stage}" for stage in ("prepare", "train", "distill")
    }
    assert tags["lowtide.cached.distill"] == report(project, "distill")["mlflow_run_id"]


@pytest.mark.usefixtures("after_it")
def test_metrics_and_plots_compare_with_the_commit_before(project: Any) -> None:
    changed = json.loads(project.run("dvc", "metrics", "diff", "--json").stdout)
    figures = changed["reports/prune.json"]
    assert {"old", "new", "diff"} <= set(figures["energy_kwh"])
    assert "reports/train.json" not in changed
    project.run("dvc", "plots", "show", "--out", "plots")
    page = (project.folder / "plots/index.html").read_text()
    assert "val_accuracy" in page
    assert "predicted" in page  # the confusion matrix


@pytest.mark.usefixtures("after_it")
def test_an_impossible_budget_is_a_refusal_and_no_error(project: Any) -> None:
    champion = alias(project, "champion")
    project.edit(budgets={"inference_energy_j_max": 1e-12})
    printed = project.flow().stdout
    assert report(project, "evaluate")["champion"]["version"] == champion
    assert json.loads((project.folder / "reports/verdict.json").read_text())["champion"] == {
        "version": champion, "sha256": report(project, "evaluate")["champion"]["sha256"]
    }  # fmt: skip
    assert "REFUSED" in printed
    assert alias(project, "champion") == champion
    assert alias(project, "candidate") > champion
    judged = project.run("lowtide", "judge", "--json", check=False)
    assert judged.returncode == 3
    refused = {r["check"] for r in json.loads(judged.stdout)["reasons"] if not r["passed"]}
    assert "inference_energy_j" in refused
    assert refused <= {"inference_energy_j", "break_even_inferences"}  # its joules are measured


@pytest.mark.usefixtures("after_it")
def test_a_rollback_without_an_earlier_champion_is_refused(project: Any) -> None:
    done = project.run(sys.executable, "-m", "flows.rollback", check=False)
    assert done.returncode == 3
    assert "no earlier champion" in done.stderr
    assert alias(project, "champion") == 1


@pytest.mark.usefixtures("after_it")
def test_a_forced_promotion_is_recorded_and_can_be_rolled_back(project: Any) -> None:
    """Of the model that the budget above refused."""
    forced = project.run(
        sys.executable, "-m", "flows.promote", "--force", "--by", "ada", "--why", "a trial"
    )
    version = alias(project, "candidate")
    assert forced.stdout.strip().endswith(f"forced by ada: version {version} is champion")
    assert alias(project, "champion") == version
    project.run(sys.executable, "-m", "flows.rollback", "--by", "bob", "--why", "the trial is over")
    assert alias(project, "champion") == 1
    told = json.loads(project.run("lowtide", "champions", "--json").stdout)["champions"]
    assert [(one["kind"], one["version"], one["by"]) for one in told] == [
        ("first", 1, None), ("forced", version, "ada"), ("rolled back", 1, "bob")
    ]  # fmt: skip


@pytest.mark.parametrize(
    "call", [("flows.promote", "--force"), ("flows.rollback", "--why", "it is slow")]
)
def test_who_or_why_alone_is_a_wrong_call(project: Any, call: tuple[str, ...]) -> None:
    done = project.run(sys.executable, "-m", *call, check=False)
    assert done.returncode == 2
    assert "--by WHO and --why WHY" in done.stderr


def test_a_rollback_without_a_server_is_an_error_and_no_refusal(project: Any) -> None:
    away = "http://me:secret@127.0.0.1:9"
    done = project.run(
        sys.executable, "-m", "flows.rollback", check=False, MLFLOW_TRACKING_URI=away
    )
    assert done.returncode == 1
    assert "did not roll back" in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stdout + done.stderr


def test_a_wrong_value_is_one_line(project: Any) -> None:
    project.edit(train={"epochs": "many"})
    done = project.flow(check=False)
    project.edit(train={"epochs": 1})
    assert done.returncode == 2
    assert "Traceback" not in done.stdout + done.stderr
    assert "train.epochs" in done.stdout + done.stderr


@pytest.mark.integration
@pytest.mark.timeout(900)
def test_a_stage_that_fails_is_one_line(project: Any) -> None:
    project.edit(model={"teacher": "nomod:fn"})
    done = project.flow(check=False)
    assert done.returncode == 1
    assert "nomod:fn cannot be imported" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    project.edit(model={"teacher": "tidenet-m"}, data={"source": "imagefolder", "path": "nowhere"})
    done = project.flow(check=False)
    assert done.returncode == 1
    assert "nothing at nowhere" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    newest, before = runs(project, "pipeline")[:2]  # another teacher is another pipeline run
    assert newest.data.params["model.teacher"] == "tidenet-m"
    assert before.data.params["model.teacher"] == "nomod:fn"
    assert newest.info.status == before.info.status == "FAILED"
