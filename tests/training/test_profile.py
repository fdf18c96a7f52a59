"""What a network costs is measured before the first step; images grow where small ones pay."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from lowtide.controller.knobs import Levers
from lowtide.data.arrays import ImageArrays
from lowtide.data.batches import Batches
from lowtide.models.factory import Classifier
from lowtide.training import profile
from lowtide.training.fit import fit
from lowtide.training.profile import DeviceProfile
from lowtide.training.protocols import Hook
from lowtide.training.recipe import make_optimizer
from lowtide.training.steering import Controller
from lowtide.training.work import Fit
from tests.training.small import CPU, RECIPE, arrays, work
from tests.training.test_steering import (
    DEVICE,
    LEVERS,
    LONG,
    PROFILE,
    controller,
    decisions,
    reasons,
    steered,
)


def test_a_measured_profile_has_every_batch_size_and_kind_of_layer(tmp_path: Path) -> None:
    one_epoch = RECIPE.model_copy(update={"epochs": 1})
    steering = controller(recorded=None)
    fit(work(tmp_path, one_epoch, steering), [])
    found = steering.record().device
    assert found.per_image.keys() == {"4", "8", "16"}
    assert found.per_mac.keys() == {"conv3x3", "linear"}
    assert all(value > 0 for value in [*found.per_image.values(),
                                       *found.per_mac.values()])  # fmt: skip


def test_seconds_count_at_the_power_that_was_drawn_while_they_were_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at that of before: a meter that has seen nothing but loading by then says little."""
    now_s = iter([10.0, 14.0])
    monkeypatch.setattr(profile, "perf_counter", lambda: next(now_s))
    monkeypatch.setattr(
        profile, "_in_seconds", lambda *_: DeviceProfile({"8": 3.0}, in_joules=False)
    )
    used_j = iter([1e9, 1e9 + 200.0])
    found = profile.measure(work(tmp_path), LEVERS, lambda: next(used_j), print)
    assert found == DeviceProfile({"8": 150.0})


def test_without_a_figure_for_power_a_profile_is_in_seconds(tmp_path: Path) -> None:
    found = profile.measure(work(tmp_path), LEVERS, lambda: None, print)
    assert not found.in_joules
    assert found.per_image.keys() == {"4", "8", "16"}


class Sides(Hook):
    """Which sides of images the network has seen in training."""

    def __init__(self, model: nn.Module) -> None:
        self.seen: list[int] = []
        model.register_forward_pre_hook(self._look)

    def _look(self, module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if module.training:
            self.seen.append(inputs[0].shape[-1])


def test_images_grow_to_their_full_size(tmp_path: Path) -> None:
    recorded = replace(PROFILE, device=replace(DEVICE, small_image=0.3))
    levers = Levers((), land=False, epochs_min=5, compress=False, image_scale=0.5)
    grown = large(tmp_path, controller(levers=levers, recorded=recorded))
    sides = Sides(grown.model)
    fit(grown, [])
    assert sides.seen == sorted(sides.seen)
    assert set(sides.seen) == {16, 20, 24, 28, 32}
    assert sides.seen.count(32) >= 0.3 * len(sides.seen)
    assert "images grow from 50% of their side" in reasons(grown)


def test_what_small_images_cost_is_measured(tmp_path: Path) -> None:
    levers = Levers((), land=False, epochs_min=5, compress=False, image_scale=0.5)
    grown = large(tmp_path, controller(levers=levers, recorded=None))
    fit(grown, [])
    cost = decisions(grown)[0]["inputs"]["small_image_cost"]  # type: ignore[index]
    assert 0 < cost < 2


def test_a_network_of_one_size_keeps_its_images(tmp_path: Path) -> None:
    class Fixed(nn.Sequential):
        def __init__(self) -> None:
            super().__init__(nn.Flatten(), nn.Linear(32 * 32, 4))

    said: list[str] = []
    levers = Levers((), land=False, epochs_min=5, compress=False, image_scale=0.5)
    fixed = large(tmp_path, controller(levers=levers, recorded=None, said=said))
    fixed.model = Classifier(Fixed(), (120.0,), (60.0,))
    fixed.optimizer = make_optimizer(fixed.model, fixed.recipe)
    fit(fixed, [])
    assert len(fixed.progress.history) == LONG.epochs
    assert any("the network does not take (16, 16)" in line for line in said)


def large(folder: Path, steering: Controller) -> Fit:
    """The same images, four times as wide and high."""
    made = steered(folder, steering)
    whole = ImageArrays(arrays().images.repeat(4, axis=2).repeat(4, axis=3), arrays().labels)
    made.train = Batches(whole, 8, shuffle=True, seed=0, device=CPU, drop_last=True)
    made.val = Batches(whole, 20, shuffle=False, seed=0, device=CPU)
    return made
