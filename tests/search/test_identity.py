"""A study is gone on with by the same search alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lowtide.errors import UsageError
from lowtide.params import load_params
from lowtide.search.identity import identity, require_same
from lowtide.search.space import Space
from lowtide.search.storage import Database
from lowtide.search.study import Study
from tests.conftest import edit_params

Searchable = Callable[..., Path]


def join(path: Path) -> None:
    params = load_params(path)
    space = Space.of_params(params)
    database = Database(None, Path("search.db"))
    with Study.opened("one", database, space.distributions(), 0) as study:
        require_same(study, identity(params, space))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"distill": {"temperature": 5.0}}, "distill.temperature is 4.0 there and 5.0 here"),
        ({"search": {"space": {"student.width": [8]}}}, "distill.learning_rate is None there"),
        ({"search": {"reduction": 4}}, "search.reduction is 3 there and 4 here"),
        ({"quantize": {"val_accuracy_drop_max": 0.5}}, "drop_max is 1.0 there and 0.5 here"),
        ({"model": {"student": "tidenet-s"}}, "model.student is tidenet-xs there and tidenet-s"),
        ({"carbon": {"replay_start": "2022-04-05T03:00:00Z", "trace": "packaged",
                     "source": "trace"}}, "the budget's clock is system there and replay here"),
    ],
)  # fmt: skip
def test_another_search_is_refused_with_the_difference(
    searchable: Searchable, changes: dict[str, Any], message: str
) -> None:
    path = searchable()
    join(path)
    edit_params(path, **changes)
    with pytest.raises(UsageError, match=message):
        join(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"controller": {"image_scale": 0.5}}, "controller.image_scale is 1.0 there and 0.5 here"),
        ({"controller": {"gates": True}}, "controller.gates is false there and true here"),
        ({"objective": {"beta": 0.5}}, "objective.beta is 0.1 there and 0.5 here"),
        ({"budgets": {"training_emissions_g_max": 7}}, "training_emissions_g_max is .* and 7.0"),
    ],
)
def test_teachers_trained_in_another_way_are_another_study(
    searchable: Searchable, changes: dict[str, Any], message: str
) -> None:
    path = searchable(search={"of": "teacher", "space": {"teacher.width": [8, 16]}})
    join(path)
    edit_params(path, **changes)
    with pytest.raises(UsageError, match=message):
        join(path)


def test_decisions_that_a_teacher_repeats_are_known_by_what_they_say(
    searchable: Searchable,
) -> None:
    search = {"of": "teacher", "space": {"teacher.width": [8, 16]}}
    path = searchable(search=search, controller={"decisions": "decisions.json"})
    Path("decisions.json").write_text("[]")
    join(path)
    join(path)
    Path("decisions.json").write_text("{}")
    with pytest.raises(UsageError, match=r"controller\.decisions is \S+ there and \S+ here"):
        join(path)


def test_another_teacher_is_another_study(searchable: Searchable) -> None:
    path = searchable()
    join(path)
    with Path("artifacts/teacher.safetensors").open("ab") as file:
        file.write(b"0")
    with pytest.raises(UsageError, match=r"the teacher is \w+ there and \w+ here"):
        join(path)


def test_what_a_trial_does_not_depend_on_may_change(searchable: Searchable) -> None:
    path = searchable()
    join(path)
    edit_params(path, prune={"epochs": 2}, evaluate={"num_repeats": 9}, controller={"eta": 0.5})
    join(path)
