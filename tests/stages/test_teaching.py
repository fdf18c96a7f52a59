"""Distilling as params say: by logits or features, into another network or into the teacher's own.

And what is refused before a step is taken.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from lowtide import artifacts
from lowtide.errors import ModelError, ParamsError, UsageError
from lowtide.models.weights import load_model, save_model
from lowtide.stages import fitting
from lowtide.stages.run import run_stage
from lowtide.training.keeping import Keeping
from lowtide.training.protocols import Hook
from tests.conftest import QUICK, ROOT, edit_params
from tests.stages.test_stages import draw_images

WITH_FEATURES = {"feature_weight": 1.0, "views": 2}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with a teacher of 60 small images."""
    folder = tmp_path_factory.mktemp("trained")
    images = draw_images(folder / "images")
    shutil.copy(ROOT / "params.yaml", folder)
    edit_params(folder / "params.yaml", **QUICK)
    edit_params(
        folder / "params.yaml",
        data={"source": "imagefolder", "path": str(images), "image_size": [12, 12]},
        controller={"gates": False}, model={"teacher": "tidenet-s"}, train={"epochs": 1},
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        run_stage("prepare")
        run_stage("train")
    return folder


@pytest.fixture
def copied(trained: Path, checkout: Path) -> Callable[..., None]:
    """The same in the current folder, with sections of params.yaml changed by keyword."""

    def copy(**changes: dict[str, Any]) -> None:
        shutil.copytree(trained, checkout, dirs_exist_ok=True)
        edit_params(checkout / "params.yaml", **changes)

    return copy


def ran(stage: str) -> dict[str, Any]:
    report = run_stage(stage)
    assert report is not None
    return report


class KilledAt(Hook):
    """In the middle of the third epoch."""

    def __init__(self, *_: object) -> None: ...

    def after_step(self, step: float, num_steps: float, loss: float) -> None:
        if step >= 0.4 * num_steps:
            raise KeyboardInterrupt


def test_features_are_matched_and_the_student_is_its_own_size(
    copied: Callable[..., None],
) -> None:
    copied(distill={"feature_weight": 1.0})
    with_features = ran("distill")
    tensors = load_file(artifacts.STUDENT)
    assert not [name for name in tensors if "projection" in name]
    artifacts.STUDENT.unlink()
    edit_params(Path("params.yaml"), distill={"feature_weight": 0.0})
    alone = ran("distill")
    for key in ("num_macs", "num_parameters", "student"):
        assert with_features[key] == alone[key]
    other = load_file(artifacts.STUDENT)
    assert any(not torch.equal(tensor, other[name]) for name, tensor in tensors.items())


def test_without_a_named_student_the_teacher_is_taught_on(copied: Callable[..., None]) -> None:
    """It begins with its weights: at a rate of nothing it is the teacher still."""
    copied(model={"student": None}, distill={"epochs": 1, "learning_rate": 1e-12})
    report = ran("distill")
    assert report["student"] == "teacher"
    teacher, spec = load_model(artifacts.TEACHER)
    student, same = load_model(artifacts.STUDENT)
    assert same == spec
    learnt = dict(student.named_parameters())
    for name, parameter in teacher.named_parameters():
        assert torch.allclose(parameter, learnt[name], atol=1e-6)
    assert ran("prune")["num_macs"] < report["num_macs"]


def test_a_student_larger_than_its_teacher_is_refused(copied: Callable[..., None]) -> None:
    copied(model={"student": "tidenet-l"})
    with pytest.raises(
        UsageError, match=r"takes [\d.]+ M multiply-adds for an image, its teacher [\d.]+ M: name"
    ):
        run_stage("distill")
    assert not artifacts.STUDENT.exists()


def test_a_larger_student_is_refused_before_its_teacher_is_trained(
    copied: Callable[..., None],
) -> None:
    copied(model={"student": "tidenet-l"})
    artifacts.TEACHER.unlink()
    with pytest.raises(UsageError, match="M multiply-adds"):
        run_stage("train")


@pytest.mark.parametrize("stage", ["train", "distill"])
@pytest.mark.parametrize("student", ["tidenet-xs", None])
def test_what_cannot_be_pruned_so_far_is_refused_before_it_is_trained(
    copied: Callable[..., None], stage: str, student: str | None
) -> None:
    """By its shape, whatever multiple of channels `prune` would measure."""
    copied(model={"student": student}, prune={"macs_fraction": 0.001, "round_to": "auto"})
    if stage == "train":
        artifacts.TEACHER.unlink()
    with pytest.raises(ModelError, match=r"prune\.macs_fraction asks for 0\.001: raise it"):
        run_stage(stage)
    assert artifacts.TEACHER.exists() == (stage != "train")
    assert not artifacts.STUDENT.exists()


def test_a_killed_fit_decides_as_before_and_ends_the_same(
    copied: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And fine-tuning after pruning reads what was asked for it."""
    copied(distill={"epochs": 6, **WITH_FEATURES}, prune={"epochs": 2, **WITH_FEATURES})
    whole, weights = ran("distill"), load_file(artifacts.STUDENT)
    assert Keeping(**whole["answers"]).num_needed > Keeping(**whole["answers"]).num_asked
    artifacts.STUDENT.unlink()
    shutil.rmtree(artifacts.STATE / "answers")
    with monkeypatch.context() as context:
        context.setattr(fitting, "BudgetGuard", KilledAt)
        with pytest.raises(KeyboardInterrupt):
            run_stage("distill")
    (decision,) = (artifacts.STATE / "answers").glob("*.json")
    decided = decision.read_text()
    again = ran("distill")
    assert again["resumed"]
    assert decision.read_text() == decided
    assert again["accuracy"] == whole["accuracy"]
    found = load_file(artifacts.STUDENT)
    assert all(torch.equal(tensor, found[name]) for name, tensor in weights.items())
    assert again["answers"]["kept"] is True
    assert ran("prune")["answers"] == again["answers"]


def test_a_teacher_that_sees_mirror_images_is_asked_half_as_often(
    copied: Callable[..., None],
) -> None:
    recipe = {"epochs": 4, "views": 4, "augment": "flip-shift"}
    copied(distill=recipe, prune={**recipe, "epochs": 1})
    plain, weights = ran("distill"), load_file(artifacts.STUDENT)
    artifacts.STUDENT.unlink()
    edit_params(Path("params.yaml"), distill={"teacher_tta": "flip"}, prune={"teacher_tta": "flip"})
    mirrored = ran("distill")
    assert 2 * mirrored["answers"]["num_asked"] == plain["answers"]["num_asked"]
    learnt = load_file(artifacts.STUDENT)
    assert any(not torch.equal(tensor, learnt[name]) for name, tensor in weights.items())


def test_mirror_images_need_an_augmentation_that_has_them(copied: Callable[..., None]) -> None:
    copied(distill={"augment": "shift", "teacher_tta": "flip"})
    with pytest.raises(ParamsError, match="set augment to flip-shift, or teacher_tta to none"):
        run_stage("distill")


def test_a_teacher_that_answers_nan_is_named(copied: Callable[..., None]) -> None:
    """Its weights are finite; what comes of them is not."""
    copied()
    teacher, spec = load_model(artifacts.TEACHER)
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter.mul_(1e8)
    save_model(artifacts.TEACHER, teacher, spec)
    with pytest.raises(ModelError, match=r"artifacts/teacher.safetensors answers NaN or inf for"):
        run_stage("distill")
