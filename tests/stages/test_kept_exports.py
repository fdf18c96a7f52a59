"""A network is exported once, as long as nothing changes that its file depends on."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from lowtide.models.factory import Classifier, ModelSpec, build
from lowtide.params import Params, load_params
from lowtide.runtime.onnx_model import OnnxModel
from lowtide.stages import kept_exports
from lowtide.stages.kept_exports import FOLDER, NUM_KEPT, export_once

Network = tuple[Classifier, ModelSpec]
NET = """
from torch import nn
def net(channels, size, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * size[0] * size[1], classes))
"""


@pytest.fixture(autouse=True)
def _exported_once() -> None:
    """Here in the checkout."""


@pytest.fixture
def params(write_params: Callable[..., Path]) -> Params:
    return load_params(write_params())


@pytest.fixture
def network(checkout: Path) -> Iterator[Callable[[], Network]]:
    """Built anew from the checkout's own_net.py, all weights 1."""
    (checkout / "own_net.py").write_text(NET)
    spec = ModelSpec("own_net:net", 1, (4, 4), 3, (0.0,), (1.0,))

    def make() -> Network:
        sys.modules.pop("own_net", None)
        importlib.invalidate_caches()
        model = build(spec)
        for parameter in model.parameters():
            parameter.data.fill_(1.0)
        return model, spec

    yield make
    sys.modules.pop("own_net", None)


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What was exported, by an exporter that writes the weights' sum alone."""
    made: list[Path] = []

    def write(model: Classifier, _spec: ModelSpec, path: Path, _params: Params) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(sum(one.sum().item() for one in model.parameters())))
        made.append(path)

    monkeypatch.setattr(kept_exports, "export_float", write)
    return made


def test_the_same_network_is_exported_once(
    params: Params, network: Callable[[], Network], tmp_path: Path
) -> None:
    paths = [tmp_path / name / "net.onnx" for name in ("first", "second")]
    export_once(*network(), paths[0], params)
    [kept] = FOLDER.iterdir()
    file = kept.stat().st_ino
    export_once(*network(), paths[1], params)
    assert [one.stat().st_ino for one in FOLDER.iterdir()] == [file]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    logits = OnnxModel(paths[1], 1).logits(np.ones((2, 1, 4, 4), np.uint8))
    assert (logits == 17).all()


def test_other_weights_settings_or_code_are_exported_anew(
    params: Params, network: Callable[[], Network], exported: list[Path], checkout: Path
) -> None:
    path = checkout / "net.onnx"
    export_once(*network(), path, params)
    changed = network()
    changed[0].net[1].weight.data[0, 0] = 2.0  # type: ignore[index,union-attr]
    export_once(*changed, path, params)
    assert path.read_text() == "52.0"
    outside = params.export.model_copy(update={"preprocessing": "outside"})
    export_once(*network(), path, params.model_copy(update={"export": outside}))
    (checkout / "own_net.py").write_text(NET.replace("nn.Flatten(), ", "nn.Flatten(), nn.ReLU(), "))
    export_once(*network(), path, params)
    assert len(set(exported)) == len(exported) == 4


def test_what_was_not_used_for_longest_is_deleted(
    params: Params, network: Callable[[], Network], exported: list[Path], checkout: Path
) -> None:
    def export(weight: float) -> None:
        model, spec = network()
        model.net[1].weight.data[0, 0] = weight  # type: ignore[index,union-attr]
        export_once(model, spec, checkout / "net.onnx", params)

    for weight in range(NUM_KEPT):
        export(weight)
    export(0)
    export(NUM_KEPT)
    assert set(FOLDER.iterdir()) == {*exported} - {exported[1]}
    export(0)
    assert len(exported) == NUM_KEPT + 1
