"""A whole search on digits: within its budget, resumed after a kill, refused where it must be.

Energy is processor time (`searching`): budgets mean the same on a busy machine.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from lowtide import artifacts
from lowtide.energy.ledger import Interval, Ledger
from lowtide.errors import CarbonError, LockedError, LowtideError, UsageError
from lowtide.lock import HELD, pipeline_lock
from lowtide.params import load_params
from lowtide.search import chain
from lowtide.search.costs import COSTS, Costs
from lowtide.search.run import search
from lowtide.search.space import Space
from lowtide.search.text import search_text
from lowtide.search.worker import Worker
from lowtide.stages import served
from lowtide.training.pacing import Paused
from tests.conftest import ROOT

Searchable = Callable[..., Path]

TOO_SMALL = (
    r"is smaller than one trial: by a probe and steps measured here, which took \S+ g, one takes "
    r"\S+ g; take --budget-g 0\S+ or more, or fewer epochs$"
)
TOLERANCE = 1.3  # beside other tests a trial of a second may take twice what it was taken for


def enough_g(path: Path, num_trials: float) -> float:
    """For so many trials like the configuration in params.yaml."""
    measured_g, trial_g = costs_g(path)
    return measured_g + num_trials * trial_g


def costs_g(path: Path) -> tuple[float, float]:
    """What measuring has taken, and what a trial takes: a search with too little says what it
    needs, and leaves what it has measured in the study."""
    with pytest.raises(UsageError, match=TOO_SMALL):
        search(path, 1e-9)
    params = load_params(path)
    with Worker.opened(params, Space.of_params(params), 1.0) as worker:
        return worker.study.spent_g(), Costs(**worker.study.noted(COSTS)).trial_g


def ended() -> str:
    """How the search's run for MLflow has ended last."""
    (path,) = artifacts.STATE.glob("journal/*-search.jsonl")
    last = json.loads(path.read_text().splitlines()[-1])
    assert last["kind"] == "end"
    return str(last["status"])


def ledger_g(study_id: str) -> float:
    """Of all that was metered for the study."""
    with Ledger(artifacts.LEDGER) as ledger:
        runs = [one.run_id for one in ledger.runs() if one.run_id.startswith(study_id)]
        return sum(ledger.totals(run_id).emissions_g or 0.0 for run_id in runs)


def recorded() -> dict[str, int]:
    """The runs for MLflow, by kind; trials are children of the search."""
    kinds: dict[str, int] = {}
    for path in artifacts.STATE.glob("journal/*.jsonl"):
        start = json.loads(path.read_text().splitlines()[0])
        kind = start["tags"]["lowtide.kind"]
        assert (start["parent_key"] is None) == (kind == "search")
        kinds[kind] = kinds.get(kind, 0) + 1
    return kinds


def test_a_search_ends_within_its_budget_and_leaves_front_patch_and_plot(
    searchable: Searchable,
) -> None:
    path = searchable()
    budget_g = enough_g(path, 2.5)
    found = search(path, budget_g)
    assert found["spent_g"] <= TOLERANCE * budget_g
    # another trial may have been left at once: its exports, taken to be as dear as the latest were
    assert found["spent_g"] > budget_g - 2 * found["rungs_g"][0]
    assert found["spent_g"] == pytest.approx(ledger_g(found["study_id"]))
    assert [trial["number"] for trial in found["trials"]] == list(range(len(found["trials"])))
    assert any(trial["state"] == "complete" for trial in found["trials"])
    for one in found["pareto"]:
        assert one["energy_j_per_inference"] > 0
        assert 0 < one["emissions_g"] < budget_g
        assert Path(one["path"]).stat().st_size == one["size_bytes"]
    assert json.loads(Path("reports/search.json").read_text()) == found
    assert (
        yaml.safe_load(Path("reports/search_params.yaml").read_text())
        == (found["chosen"]["params"])
    )
    assert Path("reports/search.svg").read_text().startswith("<svg")
    assert f"{len(found['trials'])} trials" in search_text(found)
    assert recorded() == {"search": 1, "trial": len(found["trials"])}
    assert ended() == "FINISHED"
    again = search(path, budget_g)  # spent: it says the same
    assert again["pareto"] == found["pareto"]
    assert len(again["trials"]) == len(found["trials"])


def test_a_teacher_is_searched_by_its_training(searchable: Searchable) -> None:
    space = {"teacher.width": [8, 16], "train.learning_rate": [0.05, 0.1]}
    path = searchable(search={"of": "teacher", "space": space}, model={"teacher": "tidenet-xs"})
    artifacts.TEACHER.unlink()
    found = search(path, enough_g(path, 2))
    assert set(found["chosen"]["params"]) == {"model", "train"}
    assert found["reference"]["accuracy"] is None
    assert not artifacts.TEACHER.exists()  # it is no business of the search


def test_a_budget_smaller_than_one_trial_is_refused(searchable: Searchable) -> None:
    """Also where it would bring one to a rung; what it asks for is enough, and nothing is begun."""
    path = searchable()
    measured_g, trial_g = costs_g(path)
    with pytest.raises(UsageError, match=TOO_SMALL) as refused:
        search(path, measured_g + 0.9 * trial_g)
    enough = float(str(refused.value).split("--budget-g ")[1].split()[0])
    assert measured_g + trial_g < enough < 2 * (measured_g + trial_g)
    assert ended() == "FAILED"
    assert list(artifacts.STATE.glob("journal/*-search-0.jsonl")) == []


def test_a_network_that_the_images_do_not_fit_is_refused_before_a_teacher_is_trained(
    searchable: Searchable,
) -> None:
    path = searchable(search={"space": {"student.patch": [1, 32]}})
    artifacts.TEACHER.unlink()
    with pytest.raises(LowtideError, match="cannot take images of 1x8x8"):
        search(path, 1.0)
    assert not artifacts.TEACHER.exists()
    assert not Path(".lowtide/search.db").exists()


def started(folder: Path, budget_g: float) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.search.searching", str(folder), str(budget_g)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def epochs_of(trial: int) -> list[int]:
    """That the trial's run has logged."""
    found = list(artifacts.STATE.glob(f"journal/*-search-{trial}.jsonl"))
    entries = [json.loads(line) for path in found for line in path.read_text().splitlines()]
    return [one["step"] for one in entries if "val_accuracy" in one.get("metrics", {})]


def wait_for(condition: Callable[[], Any], process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 200
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.integration
def test_a_killed_search_goes_on_with_the_trial_that_it_was_in(
    searchable: Searchable, checkout: Path
) -> None:
    path = searchable(distill={"epochs": 30})
    budget_g = enough_g(path, 3)
    process = started(checkout, budget_g)
    wait_for(lambda: len(epochs_of(0)) > 3, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    killed_g, num_epochs = ledger_g(""), len(epochs_of(0))
    found = search(path, budget_g)
    assert found["trials"][0]["state"] == "complete"
    assert sorted(set(epochs_of(0))) == list(range(1, 31)) == epochs_of(0)
    assert 3 < num_epochs < 30
    assert found["spent_g"] == pytest.approx(ledger_g(found["study_id"]))
    assert killed_g < found["spent_g"] <= 1.05 * budget_g


@pytest.mark.parametrize(
    "after", ["export_onnx", pytest.param("after_epoch", marks=pytest.mark.integration)]
)
def test_asked_to_leave_it_leaves_the_trial_as_it_stands(
    searchable: Searchable, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    """Within an export, too: torch would take what a handler raises for a failure of its own."""
    path = searchable()
    budget_g = enough_g(path, 3)
    holder = served if after == "export_onnx" else chain.Curves
    whole = getattr(holder, after)

    def signalled(*arguments: Any, **options: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        whole(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(holder, after, signalled)
        with pytest.raises(Paused):
            search(path, budget_g)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert ended() == "SCHEDULED"
    found = search(path, budget_g)
    assert found["trials"][0]["state"] == "complete"
    assert found["spent_g"] == pytest.approx(ledger_g(found["study_id"]))


def test_without_a_budget_there_is_no_search(searchable: Searchable) -> None:
    searchable()
    done = subprocess.run(
        [sys.executable, "-m", "lowtide", "search"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == ("lowtide: how many grams may it emit? lowtide search --budget-g 0.05\n")


def replayed(path: Path, level: Callable[[datetime], float]) -> dict[str, Any]:
    """The carbon section for a trace with these intensities, replayed from the tenth day on."""
    hours = [datetime(2022, 4, 1, tzinfo=UTC) + timedelta(hours=hour) for hour in range(480)]
    rows = [f"{hour.isoformat()},{level(hour)}" for hour in hours]
    path.write_text("\n".join(["timestamp_utc,gco2_per_kwh", *rows]) + "\n")
    return {
        "source": "trace", "trace": str(path), "replay_start": "2022-04-10T00:00:00Z",
        "replay_speed": 100,
    }  # fmt: skip


def test_a_grid_that_emits_nothing_is_refused(searchable: Searchable, checkout: Path) -> None:
    """No number of trials would spend the budget."""
    carbon = replayed(checkout / "zero.csv", lambda _: 0.0)
    with pytest.raises(CarbonError, match="the grid emits nothing at this hour"):
        search(searchable(carbon=carbon), 1.0)


DIRTY, CLEAN = 600.0, 200.0  # g/kWh
# Of a machine that others use meanwhile, so that its idling is not the search's.
PATIENT = {"deadline_hours": 48, "idle_power": 0.0, "resume_minutes": 1}


def tide(at: datetime) -> float:
    return DIRTY if at.hour < 12 else CLEAN


def test_a_search_waits_for_clean_hours_and_emits_less_than_at_once(
    searchable: Searchable, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The search begins at midnight; each joule is weighed here by the trace itself."""
    carbon = replayed(checkout / "tide.csv", tide)
    path = searchable(carbon=carbon, schedule=PATIENT, distill={"epochs": 12})
    found = search(path, enough_g(path, 2.5))
    assert re.search(r"search: waited until 10 Apr 12:\d\d UTC", capsys.readouterr().err)
    metered = intervals(found["study_id"])
    by_trace_g = sum(kwh(one) * tide(one.started_at) for one in metered)
    assert found["spent_g"] == pytest.approx(by_trace_g, rel=0.02)
    trial, run_id = found["trials"][0], f"{found['study_id']}-search-0"
    at_once_g = sum(kwh(one) for one in metered if one.run_id == run_id) * DIRTY
    assert trial["state"] == "complete"
    assert trial["emissions_g"] < 0.8 * at_once_g


def intervals(study_id: str) -> list[Interval]:
    with Ledger(artifacts.LEDGER) as ledger:
        runs = [one.run_id for one in ledger.runs() if one.run_id.startswith(study_id)]
        return [one for run_id in runs for one in ledger.each_interval(run_id)]


def kwh(interval: Interval) -> float:
    return (interval.energy_j or 0.0) / 3.6e6


def test_a_second_search_in_one_checkout_is_refused(
    searchable: Searchable, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = searchable()
    with pipeline_lock(artifacts.STATE), monkeypatch.context() as another:
        another.delenv(HELD)
        with pytest.raises(LockedError, match=r"another pipeline works in this checkout: pid \d+"):
            search(path, 1.0)
    assert not Path(".lowtide/search.db").exists()
