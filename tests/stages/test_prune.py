"""Gradual pruning: rounds of a cut and fine-tuning, that a kill does not start again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lowtide import artifacts
from lowtide.data.card import load_card
from lowtide.errors import ArtifactError, ModelError, ParamsError
from lowtide.models.cost import count_macs
from lowtide.models.factory import build
from lowtide.models.weights import load_model, read_notes, save_model
from lowtide.params import load_params
from lowtide.stages import prune, rounds
from lowtide.stages.fitting import model_spec
from lowtide.stages.run import run_stage
from lowtide.training import fit

THREE = {"rounds": 3, "epochs": 4, "macs_fraction": 0.5, "round_to": 4, "batch_size": 32}


@pytest.fixture
def networks(write_params: Callable[..., Path]) -> None:
    """A teacher and a student as they would be after no epoch at all."""
    write_params(prune=THREE)
    run_stage("prepare")
    spec = model_spec("tidenet-xs", load_card(artifacts.DATA))
    torch.manual_seed(0)
    for path in (artifacts.TEACHER, artifacts.STUDENT):
        save_model(path, build(spec), spec)


@pytest.mark.usefixtures("networks")
def test_each_round_takes_its_share_and_its_epochs() -> None:
    report = run_stage("prune")
    assert report is not None
    pruning = report["pruning"]
    assert [one["epochs"] for one in pruning["rounds"]] == [1, 1, 2]
    assert report["epochs"] == 4
    macs = [pruning["macs_before"], *(one["macs_after"] for one in pruning["rounds"])]
    assert macs == sorted(macs, reverse=True)
    assert macs[1] > 0.5 * macs[0] >= macs[-1] == pruning["macs_after"] == report["num_macs"]
    assert pruning["not_pruned"] == {"net.head.2": "its outputs are the model's"}
    assert {row["layer"] for row in pruning["sensitivity"]} >= {"net.features.0.0"}
    curve = (artifacts.REPORTS / "prune_curve.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in curve[1:]] == ["1", "2", "3", "4"]
    model, spec = load_model(artifacts.PRUNED)
    assert count_macs(model, (spec.in_channels, *spec.image_size)) == pruning["macs_after"]
    assert list(artifacts.CHECKPOINTS.iterdir()) == []


@pytest.mark.usefixtures("networks")
@pytest.mark.parametrize("where", ["within an epoch", "between two rounds"])
def test_a_killed_round_goes_on_with_the_cut_that_it_had(
    monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    num_cuts, real_cut, real_step = 0, prune.prune_channels, fit.take_step

    def counted(*arguments: Any) -> Any:
        nonlocal num_cuts
        if num_cuts == 2 and where == "between two rounds":
            raise KeyboardInterrupt
        num_cuts += 1
        return real_cut(*arguments)

    def killed(work: Any, batch: Any) -> float:
        if num_cuts == 2 and where == "within an epoch" and work.progress.step == 3:
            raise KeyboardInterrupt
        return real_step(work, batch)

    with monkeypatch.context() as context:
        context.setattr(prune, "prune_channels", counted)
        context.setattr(fit, "take_step", killed)
        with pytest.raises(KeyboardInterrupt):
            run_stage("prune")
    notes = read_notes(rounds.PATH)
    assert notes is not None
    assert len(notes["cuts"]) == 2
    report = run_stage("prune")
    assert report is not None
    assert report["resumed"]
    assert report["stage_run_id"] == notes["run_id"]
    told = [(one["macs_after"], one["epochs"]) for one in report["pruning"]["rounds"]]
    assert [macs for macs, _ in told[:2]] == [cut["macs_after"] for cut in notes["cuts"]]
    assert [epochs for _, epochs in told] == [1, 1, 2]
    assert len((artifacts.REPORTS / "prune_curve.csv").read_text().splitlines()) == 5


@pytest.mark.usefixtures("networks")
def test_what_cannot_be_pruned_is_refused_before_an_epoch_is_spent(
    write_params: Callable[..., Path],
) -> None:
    write_params(prune=THREE | {"macs_fraction": 0.001})
    with pytest.raises(ModelError, match=r"prune\.macs_fraction asks for 0\.001:"):
        run_stage("prune")
    model, spec = load_model(artifacts.STUDENT)
    with torch.no_grad():
        next(model.net.parameters())[0, 0] = float("nan")
    save_model(artifacts.STUDENT, model, spec)
    write_params(prune=THREE)
    with pytest.raises(ArtifactError, match=r"holds NaN or inf in net\.features"):
        run_stage("prune")
    assert not artifacts.PRUNED.exists()


def test_more_rounds_than_epochs_are_refused(write_params: Callable[..., Path]) -> None:
    with pytest.raises(ParamsError, match="3 rounds in 2 epochs: each needs one, lower rounds"):
        load_params(write_params(prune={"rounds": 3, "epochs": 2}))
