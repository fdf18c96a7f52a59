"""Server, work pool, deployments and a worker, all real: on demand, by the clock, and deferred."""

import json
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.servers import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
FLOW = "carbon-aware-pipeline"


def flow_runs(api: str, deployment: str) -> list[dict[str, Any]]:
    found = httpx.get(f"{api}/deployments/name/{FLOW}/{deployment}").json()
    answer = httpx.post(
        f"{api}/flow_runs/filter",
        json={"deployments": {"id": {"any_": [found["id"]]}}, "sort": "EXPECTED_START_TIME_ASC"},
    )
    return list(answer.json())


def states(api: str, deployment: str) -> list[str]:
    return [run["state_name"] for run in flow_runs(api, deployment)]


def finished(api: str, run_id: str) -> dict[str, Any] | None:
    run: dict[str, Any] = httpx.get(f"{api}/flow_runs/{run_id}").json()
    return run if run["state_type"] in {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"} else None


def trigger(api: str, deployment: str) -> str:
    found = httpx.get(f"{api}/deployments/name/{FLOW}/{deployment}").json()
    url = f"{api}/deployments/{found['id']}/create_flow_run"
    return str(wait_until(lambda: created(url), 60, f"a run of {deployment}"))


def created(url: str) -> str | None:
    """The run's id; a server whose database is busy (503) has made none."""
    answer = httpx.post(url, json={}, timeout=30)
    return None if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE else answer.json()["id"]


@pytest.fixture(autouse=True)
def _no_cron_left(prefect_server: str) -> Iterator[None]:
    yield
    for name in ("nightly", "on-demand", "on-push"):
        found = httpx.get(f"{prefect_server}/deployments/name/{FLOW}/{name}").json()
        for schedule in found["schedules"]:
            path = f"deployments/{found['id']}/schedules/{schedule['id']}"
            httpx.delete(f"{prefect_server}/{path}")


def test_a_dirty_grid_defers_the_run_and_a_later_one_completes_it(
    project: Any, prefect_server: str
) -> None:
    project.edit(schedule={"max_in_process_pause_minutes": 60}, carbon={"replay_speed": 2400})
    first = trigger(prefect_server, "on-demand")
    done = wait_until(lambda: finished(prefect_server, first), 240, "the first run")
    assert done["state_name"] == "Deferred", done["state"]
    assert done["state_type"] == "COMPLETED"
    assert not (project.folder / "reports/train.json").exists()
    runs = wait_until(
        lambda: (found := flow_runs(prefect_server, "on-demand"))[1:] and found, 30, "a second run"
    )
    later = runs[1]
    assert later["parameters"]["attempt"] == 1
    wait_until(lambda: _settled(prefect_server), 400, "the last attempt")
    last = flow_runs(prefect_server, "on-demand")[-1]
    assert last["state_name"] == "Completed", last["state"]
    report = json.loads((project.folder / "reports/judge.json").read_text())
    assert report["passed"] is True


def _settled(api: str) -> bool:
    """Every run of the chain has ended, and the last one was not a deferral."""
    found = flow_runs(api, "on-demand")
    ended = all(run["state_type"] in {"COMPLETED", "FAILED", "CRASHED"} for run in found)
    return ended and found[-1]["state_name"] != "Deferred"


def test_an_on_demand_run_completes(prefect_server: str) -> None:
    run_id = trigger(prefect_server, "on-demand")
    done = wait_until(lambda: finished(prefect_server, run_id), 240, "the run")
    assert done["state_name"] == "Completed", done["state"]
    tasks = httpx.post(
        f"{prefect_server}/task_runs/filter",
        json={"task_runs": {}, "flow_runs": {"id": {"any_": [run_id]}}},
    ).json()
    names = {task["name"].rsplit("-", 1)[0] for task in tasks}
    assert names >= {"prepare", "train", "distill", "prune", "quantize", "export", "evaluate",
                     "judge"}  # fmt: skip
    keys = {
        artifact["key"]
        for artifact in httpx.post(f"{prefect_server}/artifacts/filter", json={}).json()
    }
    assert keys >= {"plan", "verdict", "mlflow-run"}


def test_two_runs_at_once_take_turns(prefect_server: str) -> None:
    """They share a checkout: the second waits until the first has ended, and both complete."""
    ids = [trigger(prefect_server, name) for name in ("on-demand", "on-push")]
    runs = [
        wait_until(lambda run_id=run_id: finished(prefect_server, run_id), 300, "a run")
        for run_id in ids
    ]
    assert [run["state_type"] for run in runs] == ["COMPLETED", "COMPLETED"]
    first, second = sorted(runs, key=lambda run: run["start_time"])
    assert second["start_time"] >= first["end_time"]


def test_a_push_event_starts_a_run(project: Any, prefect_server: str) -> None:
    """As the workflow emits it; the server's automation answers."""
    before = states(prefect_server, "on-push").count("Completed")
    project.run(
        sys.executable, "-m", "prefect", "events", "emit", "lowtide.push",
        "--resource-id", "lowtide.repository",
    )  # fmt: skip
    wait_until(
        lambda: states(prefect_server, "on-push").count("Completed") > before, 240, "a run by event"
    )


def test_a_triggered_run_brings_its_verdict_back(project: Any, prefect_server: str) -> None:
    """What the workflow puts into the job summary."""
    assert prefect_server
    done = project.run(sys.executable, "scripts/trigger_run.py", "--deadline-hours", "30")
    assert done.stdout.startswith("**Completed**")
    assert "verdict: passed" in done.stdout


def test_a_cron_schedule_fires_by_itself(prefect_server: str) -> None:
    found = httpx.get(f"{prefect_server}/deployments/name/{FLOW}/nightly").json()
    before = len([s for s in states(prefect_server, "nightly") if s == "Completed"])
    schedule = {"active": True, "schedule": {"cron": "* * * * *", "timezone": "UTC"}}
    answer = httpx.post(f"{prefect_server}/deployments/{found['id']}/schedules", json=[schedule])
    assert answer.is_success, answer.text
    wait_until(
        lambda: states(prefect_server, "nightly").count("Completed") > before,
        240,
        "a run by the clock",
    )
    run = next(r for r in flow_runs(prefect_server, "nightly") if r["state_name"] == "Completed")
    assert run["auto_scheduled"] is True
