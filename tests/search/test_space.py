"""A space is checked as a whole before anything runs; a sample of it is a patch of params.yaml."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from lowtide.errors import ParamsError
from lowtide.params import Params, load_params
from lowtide.search.space import Space
from tests.conftest import ROOT


def params(space: dict[str, Any], **changes: Any) -> Params:
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    content["search"] |= {"space": space, **changes}
    return Params.model_validate(content)


@pytest.mark.parametrize("path", ["params.yaml", "examples/cifar10/params.yaml"])
def test_the_spaces_that_we_ship_are_valid(path: str) -> None:
    space = Space.of_params(load_params(ROOT / Path(path)))
    assert len(list(space.corners())) > 8


def test_a_sample_changes_its_keys_and_no_other() -> None:
    given = params({"student.width": {"low": 8, "high": 16, "step": 8}, "distill.epochs": [3, 4]})
    space = Space.of_params(given)
    sample = {"student.width": 8, "distill.epochs": 4}
    assert space.patch(sample) == {
        "distill": {"epochs": 4}, "model": {"student": "tidenet-16-8-16x1-32x1"}
    }  # fmt: skip
    found = space.params(sample).model_dump()
    changed = given.model_dump()
    changed["distill"]["epochs"], changed["model"]["student"] = 4, "tidenet-16-8-16x1-32x1"
    assert found == changed


def test_a_drawn_network_is_stretched_too() -> None:
    space = Space.of_params(
        params({"model.student": ["tidenet-xs", "tidenet-s"], "student.stem": [8]})
    )
    patch = space.patch({"model.student": "tidenet-xs", "student.stem": 8})
    assert patch == {"model": {"student": "tidenet-8-16-32x1-64x1"}}


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"train.epochs": [1]}, "'train.epochs' does not change a student: take model.student"),
        ({"distill.epoch": [1]}, "'distill.epoch' does not change"),
        ({"student.height": [1]}, "'student.height' does not change"),
        ({"student": [1]}, "'student' does not change"),
        ({"distill.epochs": [4, 0]}, "distill.epochs cannot be 0: .* greater than or equal to 1"),
        ({"distill.epochs": {"low": 1.5, "high": 4}}, "distill.epochs cannot be 1.5"),
        ({"distill.epochs": {"low": 4.0, "high": 14}}, "distill.epochs cannot be 7.33"),
        ({"quantize.method": ["minmax", "entropy"]}, "'quantize.method' does not change"),
        ({"distill.learning_rate": {"low": 0.3, "high": 0.1}}, "learning_rate: .*high"),
        ({"distill.learning_rate": {"low": 0.0, "high": 0.1, "log": True}}, "low"),
        ({"distill.epochs": {"low": 1, "high": 4, "step": 2}}, "no whole steps of 2"),
        ({"distill.schedule": ["cycle", "saw"]}, "distill.schedule cannot be 'saw'"),
    ],
)
def test_what_cannot_be_sampled_is_refused_in_one_line(space: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=message) as refused:
        Space.of_params(params(space))
    assert "\n" not in str(refused.value)


def test_a_teacher_is_searched_by_its_own_keys() -> None:
    space = Space.of_params(params({"teacher.width": [16], "train.epochs": [3]}, of="teacher"))
    patch = space.patch({"teacher.width": 16, "train.epochs": 3})
    assert patch == {"train": {"epochs": 3}, "model": {"teacher": "tidenet-16-16-32x1-64x1"}}
    with pytest.raises(ParamsError, match="does not change a teacher"):
        Space.of_params(params({"distill.epochs": [3]}, of="teacher"))


def test_a_search_needs_a_network_to_begin_with() -> None:
    content = params({"distill.epochs": [1]}).model_dump()
    content["model"]["student"] = None
    with pytest.raises(ParamsError, match=r"model\.student is null: name the network"):
        Space.of_params(Params.model_validate(content))
