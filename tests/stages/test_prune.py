"""Gradual pruning: rounds of a cut and fine-tuning, that a kill does not start again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from lowtide import artifacts
from lowtide.errors import ArtifactError, ModelError, ParamsError
from lowtide.models.cost import count_macs
from lowtide.models.weights import load_model, save_model
from lowtide.params import load_params
from lowtide.stages import prune
from lowtide.stages.run import run_stage
from lowtide.training import fit

THREE = {"rounds": 3, "epochs": 4, "macs_fraction": 0.5, "round_to": 4, "batch_size": 32}
QUICK = {"epochs": 1, "batch_size": 64}


@pytest.fixture
def student(write_params: Callable[..., Path]) -> None:
    write_params(
        prune=THREE, train=QUICK, distill=QUICK,
        model={"teacher": "tidenet-xs", "student": "tidenet-xs"}, controller={"gates": False},
    )  # fmt: skip
    for stage in ("prepare", "train", "distill"):
        run_stage(stage)


@pytest.mark.usefixtures("student")
def test_each_round_cuts_and_a_killed_one_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run_stage("prune")
    assert whole is not None
    pruning, rounds = whole["pruning"], whole["pruning"]["rounds"]
    assert [one["epochs"] for one in rounds] == [1, 1, 2]
    assert whole["epochs"] == 4
    macs = [pruning["macs_before"], *(one["macs_after"] for one in rounds)]
    assert macs == sorted(macs, reverse=True)
    assert macs[1] > 0.5 * macs[0] >= macs[-1] == pruning["macs_after"] == whole["num_macs"]
    assert pruning["not_pruned"] == {"net.head.2": "its outputs are the model's"}
    assert {row["layer"] for row in pruning["sensitivity"]} >= {"net.features.0.0"}
    curve = (artifacts.REPORTS / "prune_curve.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in curve[1:]] == ["1", "2", "3", "4"]
    model, spec = load_model(artifacts.PRUNED)
    assert count_macs(model, (spec.in_channels, *spec.image_size)) == pruning["macs_after"]
    expected = load_file(artifacts.PRUNED)
    assert list(artifacts.CHECKPOINTS.iterdir()) == []

    num_cuts, real_cut, real_step = 0, prune.prune_channels, fit.take_step

    def counted(*arguments: Any) -> Any:
        nonlocal num_cuts
        num_cuts += 1
        return real_cut(*arguments)

    def killed(work: Any, batch: Any) -> float:
        if num_cuts == 2 and work.progress.step == 3:
            raise KeyboardInterrupt
        return real_step(work, batch)

    monkeypatch.setattr(prune, "prune_channels", counted)
    monkeypatch.setattr(fit, "take_step", killed)
    with pytest.raises(KeyboardInterrupt):
        run_stage("prune")
    monkeypatch.setattr(fit, "take_step", real_step)
    again = run_stage("prune")
    assert num_cuts == 3
    assert again is not None
    assert again["resumed"]
    found = load_file(artifacts.PRUNED)
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        assert tensor.shape == expected[name].shape


@pytest.mark.usefixtures("student")
def test_what_cannot_be_reached_is_refused_before_an_epoch_is_spent(
    write_params: Callable[..., Path],
) -> None:
    write_params(prune=THREE | {"macs_fraction": 0.001})
    with pytest.raises(ModelError, match=r"prune\.macs_fraction asks for 0%"):
        run_stage("prune")
    assert not artifacts.PRUNED.exists()


def test_more_rounds_than_epochs_are_refused(write_params: Callable[..., Path]) -> None:
    with pytest.raises(ParamsError, match="3 rounds in 2 epochs: each needs one, lower rounds"):
        load_params(write_params(prune={"rounds": 3, "epochs": 2}))


@pytest.mark.usefixtures("student")
def test_weights_that_are_not_finite_are_refused() -> None:
    model, spec = load_model(artifacts.STUDENT)
    with torch.no_grad():
        next(model.net.parameters())[0, 0] = float("nan")
    save_model(artifacts.STUDENT, model, spec)
    with pytest.raises(ArtifactError, match=r"holds NaN or inf in net\.features"):
        run_stage("prune")
