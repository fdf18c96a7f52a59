"""The champion that a task has brought: comparable or not, whole or refused."""

import json
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from lowtide.artifacts import CHAMPION, CHAMPION_ONNX, write_json
from lowtide.data.card import Card
from lowtide.data.inputs import write_inputs
from lowtide.errors import ArtifactError
from lowtide.evaluation.champion import Rival
from lowtide.params import load_params
from tests.evaluation.champions import bring
from tests.registry.stores import write_model

CARD = Card(("a", "b", "c"), (1, 2, 2), (0.0,), (1.0,), "d" * 64)
PARAMS = load_params(Path(__file__).parents[2] / "params.yaml").evaluate


@pytest.fixture
def model(checkout: Path) -> Path:
    """For images [1, 2, 2] of the classes a, b and c."""
    path = write_model(checkout / "model.onnx", 0.0)
    content = onnx.load(path)
    onnx.helper.set_model_props(content, {"lowtide.labels": json.dumps(["a", "b", "c"])})
    onnx.save(content, path)
    return path


@pytest.mark.usefixtures("checkout")
def test_without_a_record_there_is_no_champion() -> None:
    found = Rival.of_record(CARD, PARAMS)
    assert found.models == {}
    assert found.report({}, {}, None, PARAMS, None) is None  # type: ignore[arg-type]


def test_a_champion_of_the_same_images_and_classes_is_compared(model: Path) -> None:
    bring(model, 3)
    found = Rival.of_record(CARD, PARAMS)
    assert list(found.models) == ["champion"]
    assert found.champion.version == 3


@pytest.mark.parametrize(
    ("card", "why"),
    [
        (Card(("a", "b", "c"), (3, 2, 2), (0.0,), (1.0,), "d"), "this data has [3, 2, 2]"),
        (Card(("a", "b"), (1, 2, 2), (0.0,), (1.0,), "d"), "3 classes, this data 2"),
        (Card(("a", "c", "b"), (1, 2, 2), (0.0,), (1.0,), "d"), "or other names"),
    ],
)
def test_a_champion_of_others_is_said_to_be_incomparable(model: Path, card: Card, why: str) -> None:
    bring(model, 3)
    found = Rival.of_record(card, PARAMS)
    assert found.models == {}
    report = found.report({}, {}, None, PARAMS, None)  # type: ignore[arg-type]
    assert report is not None
    assert why in report["incomparable"]


@pytest.mark.usefixtures("checkout")
def test_a_champion_from_outside_is_said_to_be_incomparable() -> None:
    write_json(CHAMPION, {"version": 3, "sha256": None})
    found = Rival.of_record(CARD, PARAMS)
    assert found.models == {}
    report = found.report({}, {}, None, PARAMS, None)  # type: ignore[arg-type]
    assert report is not None
    assert report["version"] == 3
    assert "not registered by lowtide" in report["incomparable"]


def test_a_file_that_is_not_the_one_of_the_record_is_refused(model: Path) -> None:
    bring(model, 3)
    CHAMPION_ONNX.write_bytes(b"torn")
    with pytest.raises(ArtifactError, match="which brings it"):
        Rival.of_record(CARD, PARAMS)


def test_another_champion_changes_its_fingerprint_alone(
    model: Path, write_params: Callable[..., Path]
) -> None:
    params = load_params(write_params())
    before = write_inputs(params)
    assert before["champion"] == "none"
    write_json(CHAMPION, {"version": 2, "sha256": None})
    assert write_inputs(params)["champion"] == "version 2"
    bring(model, 3)
    after = write_inputs(params)
    assert {name for name in before if before[name] != after[name]} == {"champion"}
