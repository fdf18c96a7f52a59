"""Two workers of one study on a real PostgreSQL: no trial lost or doubled, one budget; and what
becomes of a study whose worker is killed, and whose server goes away."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from lowtide.energy.ledger import Ledger, LedgerRun
from lowtide.params import load_params
from lowtide.search.costs import COSTS, Costs
from lowtide.search.space import Space
from lowtide.search.storage import Database
from lowtide.search.study import Study, Trial
from tests.conftest import ROOT, edit_params
from tests.integration.postgres import Cluster
from tests.search.conftest import CHANGES, make_trained
from tests.servers import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    pytest.importorskip("psycopg2", reason="pip install 'lowtide[postgres]'")
    with Cluster.running() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    make_trained(folder)
    return folder


class Workers:
    """Two checkouts with one teacher, and the study that they share."""

    def __init__(self, base: Path, folder: Path, storage: str, **changes: dict[str, Any]) -> None:
        self.folders = [folder / "a", folder / "b"]
        settings = {**CHANGES["search"], "storage": storage, "study": folder.name}
        for one in self.folders:
            shutil.copytree(base, one)
            edit_params(one / "params.yaml", search=settings, **changes)

    def start(self, which: int, budget_g: float) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "tests.search.searching", str(self.folders[which]),
             str(budget_g)],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
                           "LOWTIDE_RECORDS_DELIVERED": "1"},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def budget_g(self, num_trials: float) -> float:
        """A first worker measures what trials cost, and has too little for one."""
        refused = self.start(0, 1e-9)
        assert "smaller than one trial" in refused.communicate()[1]
        with self.study() as study:
            return study.spent_g() + num_trials * Costs(**study.noted(COSTS)).trial_g

    def study(self) -> Any:
        params = load_params(self.folders[0] / "params.yaml")
        settings, spreads = params.search, Space.of_params(params).distributions()
        return Study.opened(settings.study, Database(settings.storage, Path()), spreads, 0)

    def trials(self) -> list[Trial]:
        with self.study() as study:
            found: list[Trial] = study.trials()
        return found

    def metered(self) -> list[tuple[LedgerRun, float]]:
        """What both have recorded of the search, with its grams."""
        found = []
        for folder in self.folders:
            with Ledger(folder / ".lowtide/ledger.db") as ledger:
                runs = [one for one in ledger.runs() if one.stage == "search"]
                found += [(one, ledger.totals(one.run_id).emissions_g or 0.0) for one in runs]
        return found

    def ledgers_g(self) -> float:
        return sum(grams for _, grams in self.metered())

    def in_turn(self, trial: Trial) -> bool:
        """Somebody worked on it, and nobody beside another: one that was left for want of grams is
        gone on with where the other worker leaves enough of them."""
        name = f"-search-{trial.number}"
        runs = [run for run, _ in self.metered() if run.run_id.endswith(name)]
        runs.sort(key=lambda run: run.started_at)
        in_turn = all(one.ended_at <= then.started_at for one, then in pairwise(runs))
        return len(runs) == len(by(trial)) > 0 and in_turn


def report(process: "subprocess.Popen[str]") -> dict[str, Any]:
    out, err = process.communicate()
    assert process.returncode == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def by(trial: Trial) -> set[str]:
    return {key for key in trial.notes if key.startswith("spent_g:")}


def test_two_workers_share_a_study(base: Path, tmp_path: Path, cluster: Cluster) -> None:
    workers = Workers(base, tmp_path, cluster.url("shared"))
    budget_g = workers.budget_g(6)
    processes = [workers.start(which, budget_g) for which in (0, 1)]
    reports = [report(process) for process in processes]
    trials = workers.trials()
    assert [trial.number for trial in trials] == list(range(len(trials)))
    assert all(workers.in_turn(trial) for trial in trials)
    assert len({key for trial in trials for key in by(trial)}) == 2
    assert len({str(trial.sample) for trial in trials}) == len(trials)
    last = max(reports, key=lambda one: one["spent_g"])
    assert len(last["trials"]) == len(trials)
    assert last["spent_g"] == pytest.approx(workers.ledgers_g())
    assert budget_g - last["rungs_g"][0] < last["spent_g"] <= 1.05 * budget_g


def test_a_killed_workers_trial_is_taken_over_by_another(
    base: Path, tmp_path: Path, cluster: Cluster
) -> None:
    workers = Workers(base, tmp_path, cluster.url("killed"), distill={"epochs": 30})
    budget_g = workers.budget_g(3)
    killed = workers.start(0, budget_g)
    wait_until(lambda: any(trial.spent_g for trial in workers.trials()), 300, "a trial")
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    found = report(workers.start(1, budget_g))
    first = workers.trials()[0]
    assert first.state == "complete"
    parts = [first.notes[key] for key in by(first)]
    assert len(parts) == 2
    assert min(parts) > 0
    assert found["trials"][0]["emissions_g"] == pytest.approx(sum(parts))
    assert found["spent_g"] <= 1.05 * budget_g


def test_a_server_that_goes_away_and_comes_back(
    base: Path, tmp_path: Path, cluster: Cluster
) -> None:
    workers = Workers(base, tmp_path, cluster.url("away"), distill={"epochs": 30})
    budget_g = workers.budget_g(2.5)
    process = workers.start(0, budget_g)
    wait_until(lambda: any(trial.spent_g for trial in workers.trials()), 300, "a trial")
    cluster.stop()
    _, err = process.communicate()
    assert process.returncode == 1
    assert "cannot be used" in err.splitlines()[-1]
    assert "run the same command, it goes on" in err.splitlines()[-1]
    assert "Traceback" not in err
    cluster.start()
    found = report(workers.start(0, budget_g))
    assert found["trials"][0]["state"] == "complete"
    assert found["spent_g"] == pytest.approx(workers.ledgers_g())
    assert found["spent_g"] <= 1.05 * budget_g
