"""Plans on real files: the method, the correction and the layers that the accuracy asks for."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from lowtide.compression import trial as module
from lowtide.compression.calibrate import METHODS, observe, ranges
from lowtide.compression.compare import accuracy, compare
from lowtide.compression.layers import layers
from lowtide.compression.mixed import Layer, float_names
from lowtide.compression.onnx_export import export_onnx
from lowtide.compression.quantize import Plan, write_int8
from lowtide.compression.trial import Trial, by_method, corrected, mixed, narrowed, settled
from lowtide.data.arrays import ImageArrays
from lowtide.errors import UsageError
from lowtide.runtime.onnx_model import CUDA, OnnxModel


@dataclass
class Bench:
    trial: Trial
    plan: Plan  # min-max ranges
    names: list[str]


@pytest.fixture
def bench(rig, graph, tmp_path: Path) -> Bench:  # type: ignore[no-untyped-def]
    """Labels are what fp32 answers, so that its accuracy is 1."""
    labels = OnnxModel(tmp_path / "fp32.onnx", 1).logits(rig.images).argmax(1)
    trial = Trial(graph, tmp_path / "int8.onnx", ImageArrays(rig.images, labels), 1, "cpu")
    plan = Plan(ranges(observe(graph, rig.images), "minmax"))
    return Bench(trial, plan, [node.name for node in layers(graph)])


def test_auto_tries_every_method_on_the_exported_file(bench: Bench) -> None:
    observed = observe(bench.trial.model, bench.trial.held_out.images)
    method, found = by_method(bench.trial, observed, "auto", frozenset())
    assert tuple(found) == METHODS
    assert found[method] == max(found.values())
    assert by_method(bench.trial, observed, "percentile", frozenset())[0] == "percentile"


def test_a_tie_goes_to_minmax(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trial, "accuracy", lambda *_: 0.9)
    observed = observe(bench.trial.model, bench.trial.held_out.images)
    assert by_method(bench.trial, observed, "auto", frozenset()) == (
        "minmax",
        dict.fromkeys(METHODS, 0.9),
    )


@pytest.mark.skipif(CUDA in onnxruntime.get_available_providers(), reason="has CUDA")
def test_files_are_asked_on_the_provider_that_will_serve_them(bench: Bench) -> None:
    elsewhere = replace(bench.trial, provider="cuda")
    with pytest.raises(UsageError, match="provider cuda is asked for"):
        elsewhere.accuracy(bench.plan)
    table = [Layer(name, 0.1, 1.0, 2.0, "float", "int8 is slower here") for name in bench.names]
    with pytest.raises(UsageError, match="provider cuda is asked for"):
        settled(elsewhere, bench.plan, table, bench.trial.held_out.images[:2])


def test_a_correction_that_does_not_help_is_dropped(bench: Bench) -> None:
    images = bench.trial.held_out.images
    plan, reached = corrected(bench.trial, bench.plan, 1.0, images)
    assert plan == bench.plan
    assert reached == bench.trial.accuracy(bench.plan)
    plan, reached = corrected(bench.trial, bench.plan, 0.0, images)
    assert plan.bias_shifts
    assert reached == bench.trial.accuracy(plan)


def test_weights_of_7_bits_stay_where_they_are_more_accurate(bench: Bench) -> None:
    plan, reached = narrowed(bench.trial, bench.plan, 1.0)
    assert plan == bench.plan
    assert reached == bench.trial.accuracy(bench.plan)
    plan, reached = narrowed(bench.trial, bench.plan, 0.0)
    written = [numpy_helper.to_array(one) for one in onnx.load(bench.trial.target).graph.initializer
               if one.data_type == onnx.TensorProto.INT8 and one.dims]  # fmt: skip
    assert plan.weight_bits == 7
    assert max(np.abs(one.astype(int)).max() for one in written) == 64
    assert reached == accuracy(OnnxModel(bench.trial.target, 1), bench.trial.held_out)


def test_the_spoilt_layer_goes_back_to_float(bench: Bench) -> None:
    """Its input's range is a twentieth of what is needed: in int8 most answers change."""
    spoilt = layers(bench.trial.model)[0]
    low, high = bench.plan.ranges[spoilt.input[0]]
    plan = Plan({**bench.plan.ranges, spoilt.input[0]: (low / 20, high / 20)})
    table = [Layer(name, 1.0 if name == spoilt.name else 0.1, 2.0, 1.0) for name in bench.names]
    before = bench.trial.accuracy(plan)
    shifted = replace(plan, bias_shifts={spoilt.name: np.ones(8, np.float32)})  # for its sake
    plan, reached, table = mixed(bench.trial, shifted, table, before + 0.1)
    assert not plan.bias_shifts
    assert reached > before + 0.1
    assert float_names(table) == plan.float_layers == {spoilt.name}
    assert reached == accuracy(OnnxModel(bench.trial.target, 1), bench.trial.held_out)


def test_with_every_layer_back_in_float_it_answers_like_float(bench: Bench) -> None:
    table = [Layer(name, 0.1, 2.0, 1.0) for name in bench.names]
    plan, reached, _ = mixed(bench.trial, bench.plan, table, 1.1)
    assert plan.float_layers == set(bench.names)
    assert reached == 1.0


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ({2: 1.0, 1: 1.1, 0: 1.2}, 2),  # by the number of layers in float
        ({2: 1.2, 1: 1.0, 0: 1.1}, 1),
        ({2: 1.2, 1: 1.04, 0: 1.0}, 1),  # all in int8 gains no more than noise
        ({2: 1.2, 1: 1.1, 0: 1.0}, 0),
    ],
)
def test_a_mixture_has_to_be_quicker_as_a_whole(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, seconds: dict[int, float], expected: int
) -> None:
    def told(models: dict[frozenset[str], OnnxModel], *_: object) -> dict[frozenset[str], float]:
        return {names: seconds[len(names)] for names in models}

    monkeypatch.setattr(module, "quickest_calls", told)
    table = [Layer(name, 0.1, 2.0, 1.0) for name in bench.names]
    table[0] = Layer(bench.names[0], 0.1, 1.0, 2.0, "float", "int8 is slower here")
    table[1] = Layer(bench.names[1], 0.1, 1.0, 1.1, "float", "int8 is slower here")
    left = settled(bench.trial, bench.plan, table, bench.trial.held_out.images[:2])
    assert len(float_names(left)) == expected
    assert float_names(left) <= {bench.names[0], bench.names[1]}


class Scales(nn.Module):
    """A multiplication a pixel between operators that int8 has not: int8 takes two passes more."""

    def __init__(self) -> None:
        super().__init__()
        self.scales = nn.ModuleList(nn.Conv2d(3, 3, 1, groups=3) for _ in range(4))
        self.head = nn.Linear(3, 4)

    def forward(self, images: Tensor) -> Tensor:
        features = images.float() / 255
        for scale in self.scales:
            features = scale(features).abs()
        logits: Tensor = self.head(features.mean((2, 3)))
        return logits


def test_int8_that_is_slower_is_not_kept(tmp_path: Path) -> None:
    """As it is on any processor, measured on this one."""
    torch.manual_seed(0)
    images = np.random.default_rng(0).integers(0, 256, (64, 3, 32, 32), dtype=np.uint8)
    fp32 = tmp_path / "fp32.onnx"
    export_onnx(Scales(), (3, 32, 32), fp32, opset=20)
    graph = module.onnx.load(fp32)
    write_int8(graph, tmp_path / "int8.onnx", Plan(ranges(observe(graph, images), "minmax")))
    labels = OnnxModel(fp32, 1).logits(images).argmax(1)
    found = compare(
        fp32, {"int8": tmp_path / "int8.onnx"}, ImageArrays(images, labels),
        accuracy_fp32=1.0, drop_max=1.0, batch_size=64, num_threads=1,
    )["int8"]  # fmt: skip
    assert found.times_less is not None
    assert not found.kept
    assert "saves nothing" in found.why
