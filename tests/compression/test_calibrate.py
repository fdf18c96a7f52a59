"""Ranges: what each method leaves out, in bounded memory, and input that no range follows from."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from lowtide.compression.calibrate import METHODS, observe, ranges
from lowtide.compression.histogram import Histogram
from lowtide.compression.layers import layers, quantized_tensors
from lowtide.errors import DataError, ModelError


def spread(values: np.ndarray) -> dict[str, Histogram]:
    histogram = Histogram()
    histogram.add(values.astype(np.float32))
    return {"x": histogram}


def test_minmax_keeps_everything_and_the_others_leave_an_outlier_out() -> None:
    values = np.abs(np.random.default_rng(0).normal(0, 1, 200_000))
    values[0] = 100.0
    found = {method: ranges(spread(values), method)["x"] for method in METHODS}
    assert found["minmax"] == (0.0, 100.0)
    assert found["percentile"][1] == pytest.approx(np.quantile(values, 0.99995), rel=0.03)
    assert 2 < found["entropy"][1] < 20
    assert all(low == 0.0 for low, _ in found.values())


@pytest.mark.parametrize("method", METHODS)
def test_evenly_spread_values_are_kept_whole(method) -> None:  # type: ignore[no-untyped-def]
    values = np.random.default_rng(0).uniform(-1, 3, 100_000)
    low, high = ranges(spread(values), method)["x"]
    assert low == pytest.approx(-1, abs=0.05)
    assert high == pytest.approx(3, abs=0.05)


@pytest.mark.parametrize("method", METHODS)
def test_zero_is_inside_every_range(method) -> None:  # type: ignore[no-untyped-def]
    low, high = ranges(spread(np.random.default_rng(0).uniform(5, 6, 1000)), method)["x"]
    assert low == 0.0
    assert high == pytest.approx(6, abs=0.05)


def test_every_activation_of_the_network_is_observed(rig, graph) -> None:  # type: ignore[no-untyped-def]
    observed = observe(graph, rig.images)
    assert list(observed) == quantized_tensors(graph)
    assert {node.output[0] for node in layers(graph)} <= set(observed)
    assert all(found.counts.sum() % len(rig.images) == 0 for found in observed.values())
    assert observed["relu"].low == 0.0 < observed["relu"].high


def test_images_of_one_colour_are_refused(rig, graph) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DataError, match="all pixels of the 64 calibration images are 7"):
        observe(graph, np.full_like(rig.images, 7))


def with_weights(graph: onnx.ModelProto, layer: int, change: float) -> onnx.ModelProto:
    """One layer's weights and bias multiplied by `change`."""
    tensors = {tensor.name: tensor for tensor in graph.graph.initializer}
    for name in layers(graph)[layer].input[1:]:
        values = numpy_helper.to_array(tensors[name]) * np.float32(change)
        tensors[name].CopyFrom(numpy_helper.from_array(values, name))
    return graph


def test_a_layer_that_gives_0_throughout_is_named(rig, graph) -> None:  # type: ignore[no-untyped-def]
    name = layers(graph)[1].name
    with pytest.raises(ModelError, match=f"of layer {name} is 0 for all 64 .* scale would be 0"):
        observe(with_weights(graph, 1, 0.0), rig.images)


def test_activations_beyond_float_are_named(rig, graph) -> None:  # type: ignore[no-untyped-def]
    for layer in (0, 1):
        with_weights(graph, layer, 1e25)
    name = layers(graph)[1].name
    with pytest.raises(ModelError, match=f"of layer {name} is NaN or infinite"):
        observe(graph, rig.images)


def test_nan_in_weights_names_the_layer(graph) -> None:  # type: ignore[no-untyped-def]
    name = layers(graph)[2].name
    with pytest.raises(ModelError, match=f"layer {name}: weight .* holds NaN or infinity"):
        layers(with_weights(graph, 2, float("nan")))


def test_memory_does_not_grow_with_the_number_of_images(graph, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    onnx.save(graph, tmp_path / "model.onnx")
    few, many = (peak_mib(tmp_path / "model.onnx", num_images) for num_images in (64, 800))
    assert many < few + 64


def peak_mib(path: Path, num_images: int) -> float:
    """Of a process that observes so many images 3x16x16: their activations are 0.6 MiB each."""
    code = (
        "import resource, sys, numpy as np, onnx\n"
        "from lowtide.compression.calibrate import observe\n"
        "shape = (int(sys.argv[2]), 3, 16, 16)\n"
        "images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)\n"
        "observe(onnx.load(sys.argv[1]), images)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), str(num_images)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return float(done.stdout)
