"""Which layers stay float, from measured figures and from real files."""

import numpy as np
import pytest

from lowtide.compression.calibrate import observe, ranges
from lowtide.compression.layer_times import by_layer, layer_times
from lowtide.compression.layers import layers
from lowtide.compression.mixed import Layer, float_names, return_to_float, sensitivities, table
from lowtide.compression.quantize import Plan, write_int8

SECONDS = {"float": {"a": 3.0, "b": 2.0, "c": 1.0}, "int8": {"a": 1.0, "b": 1.0, "c": 1.5}}


def test_a_layer_that_int8_slows_down_stays_float() -> None:
    found = table(["a", "b", "c", "d"], SECONDS, {"a": 0.1})
    assert [one.precision for one in found] == ["int8", "int8", "float", "int8"]
    assert found[2].why == "int8 is slower here"
    assert [one.gain_s for one in found] == [2.0, 1.0, -0.5, None]
    assert found[0].sensitivity == 0.1
    assert found[1].sensitivity is None


def test_the_most_sensitive_per_second_saved_goes_back_first() -> None:
    """b costs 0.3 nats for 1 second saved, a 0.4 for 2; c is float from the start."""
    found = table(["a", "b", "c"], SECONDS, {"a": 0.4, "b": 0.3, "c": 9.0})
    tried: list[frozenset[str]] = []

    def accuracy(floats: frozenset[str]) -> float:
        tried.append(floats)
        return 0.5 + 0.2 * len(floats & {"a", "b"})

    assert float_names(return_to_float(found, accuracy, 0.7)) == {"b", "c"}
    assert tried == [{"b", "c"}]
    whole = return_to_float(found, accuracy, 0.95)
    assert float_names(whole) == {"a", "b", "c"}
    assert whole[1].why == "too sensitive for what it gains"


def test_names_after_fusion_lead_to_their_layers(graph) -> None:  # type: ignore[no-untyped-def]
    first, second, *_, last = [node.name for node in layers(graph)]
    profile = {
        "relu_nchwc": 1.0,
        f"{second}_token_2": 2.0,
        f"fused {last}": 3.0,
        "node_max_pool2d": 4.0,
        "max_pool2d_nchwc": 5.0,
        "relu_QuantizeLinear": 6.0,
    }
    assert by_layer(graph, profile) == {first: 1.0, second: 2.0, last: 3.0}


def test_every_layer_has_its_time_in_both_files(rig, graph, tmp_path) -> None:  # type: ignore[no-untyped-def]
    found = ranges(observe(graph, rig.images), "minmax")
    write_int8(graph, tmp_path / "int8.onnx", Plan(found))
    paths = {"float": tmp_path / "fp32.onnx", "int8": tmp_path / "int8.onnx"}
    seconds = layer_times(graph, paths, rig.images[:8], 1)
    names = {node.name for node in layers(graph)}
    assert set(seconds["float"]) == set(seconds["int8"]) == names
    assert all(0 < value < 1 for of in seconds.values() for value in of.values())


def test_a_layer_with_a_bad_range_is_the_sensitive_one(rig, graph) -> None:  # type: ignore[no-untyped-def]
    nodes = layers(graph)
    names = [node.name for node in nodes]
    found = dict(ranges(observe(graph, rig.images), "minmax"))
    low, high = found[nodes[0].input[0]]
    found[nodes[0].input[0]] = (low / 10, high / 10)
    measured = sensitivities(graph, found, names, names[:4], rig.images)
    assert list(measured) == names[:4]
    assert max(measured, key=lambda name: measured[name]) == names[0]
    assert min(measured.values()) >= -1e-6


@pytest.mark.parametrize("sensitivity", [None, 0.0])
def test_what_has_no_figure_goes_back_last(sensitivity: float | None) -> None:
    known = Layer("a", 0.01, 2.0, 1.0)
    unknown = Layer("b", sensitivity, 2.0, 1.0)
    left = return_to_float([unknown, known], lambda _: 1.0, 0.9)
    assert float_names(left) == {"a"}
    assert np.isclose(known.gain_s or 0, 1.0)


def test_without_times_all_begin_in_int8_and_the_most_sensitive_goes_back_first() -> None:
    untimed = {"float": {}, "int8": {}}
    found = table(["a", "b", "c"], untimed, {"a": 0.1, "b": 0.3})
    assert {one.precision for one in found} == {"int8"}
    tried: list[frozenset[str]] = []

    def accuracy(floats: frozenset[str]) -> float:
        tried.append(floats)
        return 0.0

    return_to_float(found, accuracy, 0.9)
    assert tried == [{"b"}, {"a", "b"}, {"a", "b", "c"}]


def test_what_gains_nothing_goes_back_first() -> None:
    """It is in int8 since the whole is quicker so, and costs nothing but accuracy."""
    useless, useful = Layer("a", 0.1, 1.0, 1.0), Layer("b", 9.0, 2.0, 1.0)
    assert float_names(return_to_float([useful, useless], lambda _: 1.0, 0.9)) == {"a"}
