"""Versions and aliases in a real MLflow registry."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from lowtide.artifacts import file_sha256
from lowtide.errors import GateError, LockedError, TrackingError
from lowtide.evaluation.champion import Champion, read_champion
from lowtide.registry import (
    Reason,
    RegisteredVersion,
    champion_version,
    fetch_champion,
    history,
    promotion,
    rollback,
)
from lowtide.registry.lock import LOCK, Held
from lowtide.runtime.normalisation import Normalisation
from tests.registry.stores import EXAMPLE, client_of, put, version_of, write_model


def test_the_life_of_a_champion(checkout: Path, store: str) -> None:
    good = write_model(checkout / "good.onnx", 0.0)
    better = write_model(checkout / "better.onnx", 1.0)
    bad = write_model(checkout / "bad.onnx", 2.0)

    refused = put(store, bad, passed=False)
    assert champion_version(store) is None
    assert version_of(store, refused.version).tags["lowtide.refused_checks"] == "accuracy"
    with pytest.raises(GateError, match="no earlier champion"):
        rollback(store)

    first = put(store, good, passed=True)
    assert champion_version(store) == first.version == 2
    again = put(store, good, passed=True)
    assert again.version == first.version
    assert "already" in again.outcome

    put(store, bad, passed=False)
    assert champion_version(store) == first.version

    second = put(store, better, passed=True, against=good)
    assert champion_version(store) == second.version == 3
    assert rollback(store).version == first.version
    assert champion_version(store) == first.version


def test_a_rollback_is_not_undone_by_the_next_run(checkout: Path, store: str) -> None:
    """A run in which all is cached registers the same file again."""
    good = write_model(checkout / "good.onnx", 0.0)
    put(store, good, passed=True)
    better = write_model(checkout / "better.onnx", 1.0)
    put(store, better, passed=True, against=good)
    rollback(store)
    again = put(store, better, passed=True, against=good)
    assert champion_version(store) == 1
    assert again == RegisteredVersion(2, ("candidate",), again.outcome)
    assert "version 2 was rolled back" in again.outcome
    forced = put(store, better, passed=True, against=good, forced=Reason("ada", "it was the data"))
    assert champion_version(store) == forced.version == 2
    assert "lowtide.rolled_back" not in version_of(store, 2).tags


def test_rolling_back_twice_does_not_return_to_what_was_rolled_back(
    checkout: Path, store: str
) -> None:
    first = write_model(checkout / "first.onnx", 0.0)
    put(store, first, passed=True)
    second = write_model(checkout / "second.onnx", 1.0)
    put(store, second, passed=True, against=first)
    put(
        store, first, passed=True, against=second
    )  # the parameters were put back: the file is version 1 again
    assert champion_version(store) == 1
    assert rollback(store).version == 2
    with pytest.raises(GateError, match="no earlier champion"):
        rollback(store)
    assert champion_version(store) == 2


def test_a_rollback_steps_over_versions_rolled_back_before(checkout: Path, store: str) -> None:
    before = None
    for index, name in enumerate(("first", "second", "third")):
        model = write_model(checkout / f"{name}.onnx", float(index))
        put(store, model, passed=True, against=before)
        before = model
    assert rollback(store).version == 2
    assert rollback(store).version == 1


def test_what_was_judged_against_another_champion_is_refused(checkout: Path, store: str) -> None:
    """Two runs have been judged against the first champion; the slower one is sent back."""
    first, second, third = (
        write_model(checkout / f"{index}.onnx", float(index)) for index in range(3)
    )
    put(store, first, passed=True)
    assert "promoted" in put(store, second, passed=True, against=first).outcome
    late = put(store, third, passed=True, against=first)
    assert late.aliases == ("candidate",)
    assert "by now version 2 is champion" in late.outcome
    assert "`python -m flows.pipeline`" in late.outcome
    assert "against no champion" in put(store, third, passed=True).outcome
    assert champion_version(store) == 2
    assert "promoted" in put(store, third, passed=True, against=second).outcome


def test_a_champion_from_outside_is_not_taken_for_none(checkout: Path, store: str) -> None:
    """Its version has no sha256, as one that was registered in MLflow's UI."""
    put(store, write_model(checkout / "first.onnx", 0.0), passed=True)
    client_of(store).delete_model_version_tag("lowtide-classifier", "1", "lowtide.sha256")
    assert fetch_champion(store) == 1
    assert read_champion() == Champion(1, None)
    second = write_model(checkout / "second.onnx", 1.0)
    assert "by now version 1 is champion" in put(store, second, passed=True).outcome
    forced = put(store, second, passed=False, forced=Reason("ada", "we know it"))
    assert forced.version == champion_version(store)


def test_who_was_taken_for_dead_leaves_the_record_of_who_took_over(
    checkout: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stands still between its decision and the move, until another promotion is through."""
    first, quick, slow = (write_model(checkout / f"{n}.onnx", float(n)) for n in range(3))
    put(store, first, passed=True)
    move = promotion._move

    def stand_still(held: Held, *arguments: Any) -> None:
        monkeypatch.setattr(promotion, "_move", move)
        held.client.delete_registered_model(LOCK)
        assert put(store, quick, passed=True, against=first).outcome.startswith("promoted")
        move(held, *arguments)

    monkeypatch.setattr(promotion, "_move", stand_still)
    with pytest.raises(LockedError, match="taken for dead"):
        put(store, slow, passed=True, against=first)
    told = [(event.kind, event.version) for event in history(store)]
    assert told == [("first", 1), ("promoted", champion_version(store))]


def test_a_rollback_goes_back_from_what_was_moved_by_hand(checkout: Path, store: str) -> None:
    first, second = (write_model(checkout / f"{n}.onnx", float(n)) for n in range(2))
    put(store, first, passed=True)
    put(store, second, passed=False)
    client_of(store).set_registered_model_alias("lowtide-classifier", "champion", "2")
    assert rollback(store).version == champion_version(store) == 1


def test_a_forced_promotion_says_who_and_why(checkout: Path, store: str) -> None:
    good, bad = write_model(checkout / "good.onnx", 0.0), write_model(checkout / "bad.onnx", 1.0)
    put(store, good, passed=True)
    put(store, bad, passed=False, against=good)
    forced = put(store, bad, passed=False, against=good, forced=Reason("ada", "a leak in the old"))
    assert forced.version == champion_version(store) == 2
    assert forced.outcome == "forced by ada: version 2 is champion"
    assert version_of(store, 2).tags["lowtide.passed"] == "False"
    rollback(store, Reason("bob", "no leak"))
    told = [(one.kind, one.version, one.before, one.by, one.why) for one in history(store)]
    assert told == [
        ("first", 1, None, None, None),
        ("forced", 2, 1, "ada", "a leak in the old"),
        ("rolled back", 1, 2, "bob", "no leak"),
    ]


@pytest.mark.usefixtures("checkout")
def test_the_champion_is_fetched_byte_by_byte(checkout: Path, store: str) -> None:
    assert fetch_champion(store) is None
    assert read_champion() == Champion(None, None)
    good, better = (write_model(checkout / f"{bias}.onnx", bias) for bias in (0.0, 1.0))
    put(store, good, passed=True)
    assert fetch_champion(store) == 1
    assert (checkout / ".lowtide/champion.onnx").read_bytes() == good.read_bytes()
    assert read_champion() == Champion(1, file_sha256(good))
    put(store, better, passed=True, against=good)
    assert fetch_champion(store, unless=file_sha256(better)) == 2
    assert read_champion() == Champion(
        1, file_sha256(good)
    )  # what the new one was compared with stays
    assert fetch_champion(store) == 2
    assert read_champion() == Champion(2, file_sha256(better))


def test_a_version_can_be_loaded_and_has_a_signature(checkout: Path, store: str) -> None:
    import mlflow

    put(store, write_model(checkout / "good.onnx", 0.5), passed=True)
    mlflow.set_tracking_uri(store)
    info = mlflow.models.get_model_info("models:/lowtide-classifier@champion")
    assert info.signature.inputs.to_dict()[0]["tensor-spec"]["dtype"] == "uint8"
    loaded = mlflow.onnx.load_model("models:/lowtide-classifier@champion")
    assert [entry.name for entry in loaded.graph.input] == ["image"]
    assert version_of(store, 1).description == "a card"


def test_what_is_normalised_outside_has_a_signature_of_floats(checkout: Path, store: str) -> None:
    """Its input example is what the file itself takes, with its metadata's mean and std."""
    import mlflow

    path = write_model(checkout / "outside.onnx", 0.0)
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT
    metadata = Normalisation((100.0,), (50.0,)).metadata()
    onnx.helper.set_model_props(model, metadata)
    onnx.save(model, path)
    put(store, path, passed=True)
    mlflow.set_tracking_uri(store)
    info = mlflow.models.get_model_info("models:/lowtide-classifier@champion")
    assert info.signature.inputs.to_dict()[0]["tensor-spec"]["dtype"] == "float32"
    example = mlflow.models.Model.load(info.model_uri).load_input_example(info.model_uri)
    assert np.array_equal(np.asarray(example), np.full(EXAMPLE.shape, -2, np.float32))


def test_a_registry_that_is_gone_is_said_in_one_line(checkout: Path) -> None:
    with pytest.raises(TrackingError, match=r"did not take .*good.onnx"):
        put("http://127.0.0.1:9", write_model(checkout / "good.onnx", 0.0), passed=True)


@pytest.mark.parametrize("ask", [rollback, champion_version, history])
def test_a_database_that_is_not_there_is_not_made(
    checkout: Path, ask: Callable[[str], object]
) -> None:
    """To ask it would race with the run that makes it."""
    with pytest.raises(TrackingError, match=r"there is no model registry .*`make run` first"):
        ask(f"sqlite:///{checkout / 'mlflow.db'}")
    assert not (checkout / "mlflow.db").exists()


def test_a_broken_database_is_one_line(checkout: Path) -> None:
    (checkout / "mlflow.db").write_bytes(b"no database" * 100)
    with pytest.raises(TrackingError, match=r"did not name its champion: .*not a database"):
        champion_version(f"sqlite:///{checkout / 'mlflow.db'}")


@pytest.mark.parametrize("ask", [rollback, champion_version])
def test_asking_a_registry_that_is_gone_is_one_line_without_the_password(
    ask: Callable[[str], object],
) -> None:
    began = time.monotonic()
    with pytest.raises(TrackingError) as caught:
        ask("http://me:secret@127.0.0.1:9")
    assert time.monotonic() - began < 30
    assert "secret" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
