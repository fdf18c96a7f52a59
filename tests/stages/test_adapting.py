"""A technique is left out where it is not needed, and rolled back where it does not pay."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lowtide import artifacts
from lowtide.models.weights import load_model
from lowtide.stages.run import run_stage

WriteParams = Callable[..., Path]


def write_images(folder: Path) -> Path:
    """Two classes of 8x8 pixels, one darker: 80 images, so that a network learns them at once."""
    generator, labels = np.random.default_rng(0), np.arange(80) % 2
    pixels = generator.integers(0, 120, (80, 8, 8, 1)) + 120 * labels[:, None, None, None]
    path = folder / "images.npz"
    np.savez(path, x_train=pixels.astype(np.uint8), y_train=labels,
             x_test=pixels[:20].astype(np.uint8), y_test=labels[:20])  # fmt: skip
    return path


@pytest.fixture
def run_chain(checkout: Path, write_params: WriteParams) -> Callable[..., dict[str, Any]]:
    data = {"source": "npz", "path": str(write_images(checkout)), "val_fraction": 0.25}

    def run(**compress: Any) -> dict[str, Any]:
        write_params(
            data=data, compress={"roll_back": True, **compress}, controller={"gates": False},
            budgets={"inference_energy_j_max": 1e9},
        )  # fmt: skip
        for stage in ("prepare", "train", "distill", "prune"):
            run_stage(stage)
        return {name: json.loads(artifacts.report_path(name).read_text())
                for name in ("train", "distill", "prune")}  # fmt: skip

    return run


def same_weights(one: Path, other: Path) -> bool:
    pairs = zip(*(load_model(path)[0].state_dict().values() for path in (one, other)), strict=True)
    return all(bool((a == b).all()) for a, b in pairs)


def test_a_model_within_its_target_is_left_alone(run_chain: Callable[..., dict[str, Any]]) -> None:
    reports = run_chain(energy_ratio_min=0.01)
    for stage in ("distill", "prune"):
        technique = reports[stage]["technique"]
        assert not technique["entered"]["yes"]
        assert "within the target" in technique["entered"]["reason"]
        assert "stayed" not in technique
        assert reports[stage]["epochs"] == 0
        assert reports[stage]["num_macs"] == reports["train"]["num_macs"]
    assert reports["distill"]["student"] == "teacher"
    assert same_weights(artifacts.TEACHER, artifacts.PRUNED)
    assert (artifacts.REPORTS / "prune_curve.csv").read_text().startswith("epoch,")


def test_what_loses_too_much_is_rolled_back(
    run_chain: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The student is spoilt after it was trained: what is probed and judged is its own file."""
    from lowtide.stages import distill

    fitted = distill.run_fit

    def spoilt(params: Any, recipe: Any, context: Any, model: Any, *others: Any) -> Any:
        figures = fitted(params, recipe, context, model, *others)
        model.net.head[-1].weight.data.mul_(-1)
        return figures

    monkeypatch.setattr(distill, "run_fit", spoilt)
    reports = run_chain(val_accuracy_drop_max=0.2, energy_ratio_min=None)
    technique = reports["distill"]["technique"]
    assert technique["entered"]["yes"]
    assert not technique["stayed"]["yes"]
    assert "what was before goes on" in technique["stayed"]["reason"]
    assert technique["after"]["accuracy"] < technique["before"]["accuracy"] - 0.2
    assert reports["distill"]["student"] == "teacher"
    assert reports["distill"]["accuracy"] == technique["before"]["accuracy"]
    assert same_weights(artifacts.TEACHER, artifacts.STUDENT)


def test_nothing_is_rolled_back_against_ones_will(
    run_chain: Callable[..., dict[str, Any]],
) -> None:
    reports = run_chain(val_accuracy_drop_max=0.0, energy_ratio_min=None, roll_back=False)
    for stage in ("distill", "prune"):
        assert reports[stage]["technique"]["stayed"]["yes"]
    assert reports["distill"]["student"] == "tidenet-xs"
    assert reports["prune"]["num_macs"] < reports["distill"]["num_macs"]
