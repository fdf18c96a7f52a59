"""A real `mlflow server` as tracking URI, also when it goes away in the middle."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from lowtide.artifacts import STAGES
from tests.servers import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]


def stage_runs(uri: str) -> list[Any]:
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("lowtide")
    query = "tags.`lowtide.kind` = 'stage'"
    return list(client.search_runs([experiment.experiment_id], query))


def test_the_record_survives_a_server_that_stops_and_starts(
    project: Any, mlflow_server: Any, tmp_path: Path
) -> None:
    project.edit(train={"epochs": 6})
    log = tmp_path / "flow.log"
    flow = project.start(
        sys.executable, "-m", "flows.pipeline", log=log, MLFLOW_TRACKING_URI=mlflow_server.uri
    )
    wait_until(lambda: "train: epoch 1" in log.read_text(), 120, "the first epoch")
    mlflow_server.stop()
    wait_until(lambda: "train: epoch 5" in log.read_text(), 120, "training without a server")
    mlflow_server.start()
    assert flow.wait(240) == 0, log.read_text()

    runs = stage_runs(mlflow_server.uri)
    assert sorted(run.data.tags["lowtide.stage"] for run in runs) == sorted(STAGES)
    assert {run.info.status for run in runs} == {"FINISHED"}
    train = next(run for run in runs if run.data.tags["lowtide.stage"] == "train")
    client = MlflowClient(mlflow_server.uri)
    epochs = client.get_metric_history(train.info.run_id, "val_accuracy")
    assert [metric.step for metric in epochs] == [1, 2, 3, 4, 5, 6]
    champion = client.get_model_version_by_alias("lowtide-classifier", "champion")
    assert champion.tags["lowtide.passed"] == "True"


def test_without_a_server_the_run_ends_and_says_what_was_kept(
    project: Any, mlflow_server: Any
) -> None:
    mlflow_server.stop()
    project.edit(train={"epochs": 2})
    done = project.run("dvc", "repro", MLFLOW_TRACKING_URI=mlflow_server.uri)
    assert "kept on disk" in done.stderr
    assert json.loads((project.folder / "reports/train.json").read_text())["mlflow_run_id"] is None
    mlflow_server.start()
    project.flow(MLFLOW_TRACKING_URI=mlflow_server.uri)
    sent = stage_runs(mlflow_server.uri)
    assert {run.data.tags["lowtide.stage"] for run in sent} == set(STAGES) - {"prepare"}
    assert {run.info.status for run in sent} == {"FINISHED"}
