"""A study in SQLite: what is drawn, taken over, spent; and a database that goes away."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import pytest
from optuna.distributions import FloatDistribution, IntDistribution

from lowtide.errors import ParamsError, StudyError
from lowtide.search.front import Outcome
from lowtide.search.storage import Database
from lowtide.search.study import Study

SPREADS = {"rate": FloatDistribution(0.01, 1.0, log=True), "epochs": IntDistribution(1, 9)}


@contextmanager
def opened(folder: Path, seed: int = 0) -> Iterator[Study]:
    with Study.opened("one", Database(None, folder / "search.db"), SPREADS, seed) as study:
        yield study


def test_draws_follow_from_the_seed_and_the_number(tmp_path: Path) -> None:
    """However often the search is started again."""
    with opened(tmp_path / "a") as study:
        whole = [study.ask().sample for _ in range(3)]
    again = []
    for _ in range(3):
        with opened(tmp_path / "b") as study:
            again.append(study.ask().sample)
    with opened(tmp_path / "c", seed=1) as study:
        other = study.ask().sample
    assert again == whole
    assert len({one["rate"] for one in [*whole, other]}) == 4


def test_a_trial_that_was_left_is_taken_over_once_as_it_stands(tmp_path: Path) -> None:
    with opened(tmp_path) as study:
        left = study.ask()
        study.note_of(left.number, "rungs", [0.5])
        study.note_spent(left.number, "me", 2.0)
        assert study.take_over() is None  # it is one's own
    with opened(tmp_path) as study:
        taken = study.take_over()
        assert taken is not None
        assert (taken.number, taken.sample) == (left.number, left.sample)
        assert taken.notes["rungs"] == [0.5]
        assert taken.spent_by_others_g("me") == 0.0
        assert taken.spent_by_others_g("you") == 2.0
        study.complete(taken.number, 0.9, 0.1, 3.0)
        assert study.take_over() is None
        assert study.outcomes() == [Outcome(0, 0.9, 0.1, 3.0)]


def test_what_is_spent_is_summed_over_workers_and_trials(tmp_path: Path) -> None:
    with opened(tmp_path) as study:
        study.note_spent(None, "me", 1.0)
        study.note_spent(None, "you", 2.0)
        first, second = study.ask(), study.ask()
        study.note_spent(first.number, "me", 4.0)
        study.note_spent(first.number, "me", 8.0)  # so far, not more
        study.note_spent(second.number, "me", 16.0)
        study.end(second.number, "pruned", "no good")
        assert study.spent_g() == 27.0
        assert [trial.state for trial in study.trials()] == ["unfinished", "pruned"]
        assert study.trials()[1].notes["reason"] == "no good"


def test_a_database_that_is_deleted_is_noticed_and_comes_back(tmp_path: Path) -> None:
    file = tmp_path / "search.db"
    with opened(tmp_path) as study:
        trial = study.ask()
        study.note_spent(trial.number, "me", 1.0)
        file.rename(tmp_path / "away.db")
        with pytest.raises(StudyError, match=r"search\.db cannot be used \(the file was deleted"):
            study.note_spent(trial.number, "me", 2.0)
    (tmp_path / "away.db").rename(file)
    with opened(tmp_path) as study:
        assert study.spent_g() == 1.0


def test_a_study_that_is_deleted_in_its_database_is_noticed(tmp_path: Path) -> None:
    with opened(tmp_path) as study:
        study.ask()
        optuna.delete_study(study_name="one", storage=study.database.url)
        for use in (study.spent_g, study.ask, study.take_over, lambda: study.end(0, "failed", "")):
            with pytest.raises(StudyError, match=r"^the study was deleted from .*search\.db while"):
                use()
    with opened(tmp_path) as study:  # begun anew
        assert study.trials() == []


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "search.db").write_text("no database at all, but long enough to be read as one")
    with (
        pytest.raises(StudyError, match=r"search\.db cannot be used \(.*not a database"),
        opened(tmp_path),
    ):
        pass


@pytest.mark.parametrize(
    ("storage", "message"),
    [
        ("mysql://me:secret@host/db", "mysql://host/db is no place for a study"),
        ("postgresql://me:secret@host/db", "holds a password"),
        ("postgresql://me@host/db?password=secret", "holds a password"),
        ("postgresql://me@host:port/db", "is no address"),
    ],
)
def test_a_storage_is_refused_without_telling_its_password(storage: str, message: str) -> None:
    with pytest.raises(ParamsError, match=message) as refused:
        Database(storage, Path("search.db"))
    assert "secret" not in str(refused.value)


def test_a_server_that_is_away_is_named() -> None:
    pytest.importorskip("psycopg2")
    database = Database("postgresql://me@127.0.0.1:1/db", Path("search.db"))
    with (
        pytest.raises(StudyError, match=r"postgresql://127\.0\.0\.1:1/db cannot be used"),
        Study.opened("one", database, SPREADS, 0),
    ):
        pass
