"""A whole search on digits: within its budget, resumed after a kill, refused where it must be.

Energy is processor time (`searching`): budgets mean the same on a busy machine.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from lowtide import artifacts
from lowtide.energy.ledger import Ledger
from lowtide.errors import LowtideError, UsageError
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
from tests.search.searching import quick

Searchable = Callable[..., Path]

TOLERANCE = 1.3  # beside other tests a trial of a second may take twice what it was taken for


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch.setattr)


def enough_g(path: Path, num_trials: float) -> float:
    """For so many trials like the configuration in params.yaml; a search with too little says what
    it needs, and leaves what it has measured in the study."""
    with pytest.raises(UsageError, match="does not bring one trial to its first rung: about 0"):
        search(path, 1e-9)
    params = load_params(path)
    with Worker.opened(params, Space.of_params(params), 1.0) as worker:
        costs, spent_g = Costs(**worker.study.noted(COSTS)), worker.study.spent_g()
    return spent_g + num_trials * costs.trial_g


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
    assert found["spent_g"] > budget_g - found["rungs_g"][0]
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


def test_a_network_that_the_images_do_not_fit_is_refused_before_anything_runs(
    searchable: Searchable,
) -> None:
    path = searchable(search={"space": {"student.patch": [1, 32]}})
    with pytest.raises(LowtideError, match="cannot take images of 1x8x8"):
        search(path, 1.0)
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
    budget_g = enough_g(path, 1.8)
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
    assert killed_g < found["spent_g"] <= TOLERANCE * budget_g


@pytest.mark.parametrize("after", ["export_onnx", "after_epoch"])
def test_asked_to_leave_it_leaves_the_trial_as_it_stands(
    searchable: Searchable, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    """Within an export, too: torch would take what a handler raises for a failure of its own."""
    path = searchable()
    budget_g = enough_g(path, 1.8)
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
