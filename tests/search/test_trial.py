"""One trial in a study that has others: fitted, not worth it, failed, or left as it stands."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lowtide import artifacts
from lowtide.errors import ArtifactError
from lowtide.params import load_params
from lowtide.search.candidate import Reference
from lowtide.search.costs import COSTS, Costs, prepare
from lowtide.search.halving import PROBED, RUNGS
from lowtide.search.space import Space
from lowtide.search.study import Trial
from lowtide.search.trial import run_trial
from lowtide.search.worker import Worker
from tests.search.guest import TAKEN

Searchable = Callable[..., Path]

COST = {"overhead_g": 1e-3, "fit_g": 1e-3, "reference_j": 1.0, "rungs_g": [2e-3]}
GUEST = {"model": {"student": "tests.search.guest:guest"},
         "search": {"space": {"distill.learning_rate": [0.05, 0.1]}}}  # fmt: skip


# For a trial that never comes to be probed beside it.
UNSEEN = Reference(Path("unseen.onnx"), accuracy=0.9)


class Searcher:
    """A worker that knows what trials cost, and has grams for all of them."""

    def __init__(self, worker: Worker, reference: Reference | None) -> None:
        self.worker, self.study = worker, worker.study
        self._reference = reference or prepare(worker)[0]
        self._costs = Costs(**worker.study.noted(COSTS))

    def run(self, trial: Trial) -> str:
        return run_trial(self.worker, trial, self._reference, self._costs)

    def reason(self, number: int) -> str:
        return str(self.study.trials()[number].notes["reason"])


@contextmanager
def searcher(path: Path, reference: Reference | None = None) -> Iterator[Searcher]:
    """None: the teacher's file."""
    params = load_params(path)
    with Worker.opened(params, Space.of_params(params), 1.0) as worker:
        worker.study.note(COSTS, COST)
        worker.begin()
        yield Searcher(worker, reference)


def of_trial(number: int, kind: str) -> list[dict[str, str]]:
    """What its run for MLflow has of a kind."""
    (path,) = artifacts.STATE.glob(f"journal/*-search-{number}.jsonl")
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    return [one for one in entries if one["kind"] == kind]


@pytest.mark.parametrize("by", ["", "network"])
def test_what_a_network_raises_ends_its_trial_and_the_next_one_runs(
    searchable: Searchable, capsys: pytest.CaptureFixture[str], by: str
) -> None:
    """Not so many starts of the search with the same error."""
    with searcher(searchable(**GUEST)) as search:
        TAKEN.write_text(by)
        assert search.run(search.study.ask()) == "failed"
        TAKEN.unlink()
        assert search.study.take_over() is None
        assert search.run(search.study.ask()) == "complete"
        assert search.reason(0).startswith("RuntimeError: CUDA out of memory. (guest.py:")
        assert [one["status"] for one in of_trial(0, "end")] == ["FAILED"]
    said = capsys.readouterr().err
    assert "search: trial 0 failed (RuntimeError: CUDA out of memory. (guest.py:" in said
    assert "Traceback" not in said


def test_what_no_configuration_is_to_blame_for_leaves_the_trial_as_it_stands(
    searchable: Searchable,
) -> None:
    with searcher(searchable(), UNSEEN) as search:
        trial = search.study.ask()
        obstacle = search.worker.folder_of(trial) / "model.fp32.onnx"
        obstacle.mkdir()
        with pytest.raises(ArtifactError, match=r"cannot write .*model\.fp32\.onnx"):
            search.run(trial)
        assert [one["status"] for one in of_trial(0, "end")] == ["SCHEDULED"]
        assert search.study.trials()[0].state == "unfinished"


def test_a_full_disk_ends_the_search_in_one_line_and_leaves_the_trial(
    searchable: Searchable,
) -> None:
    with searcher(searchable(**GUEST)) as search:
        TAKEN.write_text("disk")
        with pytest.raises(ArtifactError, match=r"file of trial 0 .* No space left on device"):
            search.run(search.study.ask())
        assert search.study.trials()[0].state == "unfinished"


def test_a_file_in_the_place_of_a_trials_folder_ends_the_search_in_one_line(
    searchable: Searchable,
) -> None:
    with searcher(searchable(), UNSEEN) as search:
        trial = search.study.ask()
        search.worker.folder.mkdir(parents=True, exist_ok=True)
        (search.worker.folder / "0").touch()
        with pytest.raises(ArtifactError, match=r"cannot make .*/0: File exists"):
            search.run(trial)


def test_a_network_that_another_surpasses_is_not_trained(searchable: Searchable) -> None:
    """All the accuracy there is for fewer joules: training cannot help."""
    with searcher(searchable(), UNSEEN) as search:
        for ratio in (0.2, 0.3):
            search.study.note_of(search.study.ask().number, PROBED, ratio)
        search.study.note_of(0, RUNGS, [0.8, 0.95])
        assert search.run(search.study.trials()[1]) == "pruned"
        assert search.reason(1) == (
            "not trained: trial 0 has accuracy 0.9000 with less than its 0.30 of the reference's "
            "joules"
        )
    assert of_trial(1, "metrics")[0]["metrics"].keys() == {"emissions_g"}


def test_a_network_that_takes_the_teachers_joules_is_not_trained(searchable: Searchable) -> None:
    space = {"distill.learning_rate": [0.05, 0.1]}
    path = searchable(model={"student": "tidenet-64-128x2-256x2"}, search={"space": space})
    with searcher(path) as search:
        assert search.run(search.study.ask()) == "pruned"
        assert "of the teacher's joules" in search.reason(0)
    assert of_trial(0, "metrics")[0]["metrics"].keys() == {"emissions_g"}
