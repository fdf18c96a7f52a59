"""How long training will take here, from a few timed steps."""

from datetime import timedelta

import torch

from lowtide import artifacts
from lowtide.clock import Clock
from lowtide.data.batches import Batches, load_card, load_split
from lowtide.models.factory import ModelSpec, build
from lowtide.params import FitParams, Params
from lowtide.training.recipe import choose_precision, pick_device

TEACHING = 1 / 3  # the teacher's forward pass, as a share of a whole training step of the teacher


def estimate_hours(params: Params, clock: Clock) -> float:
    """Hours of the clock that train, distill and prune will take at full power.

    The step of each network is timed on the prepared data, once; no weights are kept.
    """
    teacher_s = _step_seconds(params, params.model.teacher, params.train)
    student_s = _step_seconds(params, params.model.student, params.distill)
    num_images = len(load_split(artifacts.DATA, "train").labels)
    teacher_per_image = teacher_s / min(params.train.batch_size, num_images)
    student_per_image = student_s / min(params.distill.batch_size, num_images)
    student_epochs = params.distill.epochs + params.prune.epochs
    asked = student_epochs if params.distill.views is None else params.distill.views
    seconds = num_images * (
        (params.train.epochs + TEACHING * min(asked, student_epochs)) * teacher_per_image
        + student_epochs * student_per_image
    )
    speed = 1 / clock.real_seconds(timedelta(seconds=1))
    return seconds * speed / 3600


def _step_seconds(params: Params, factory: str, recipe: FitParams) -> float:
    card = load_card(artifacts.DATA)
    channels, height, width = card.shape
    spec = ModelSpec(factory, channels, (height, width), len(card.class_names), card.mean, card.std)
    device = pick_device()
    model = build(spec).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    arrays = load_split(artifacts.DATA, "train")
    size = min(recipe.batch_size, len(arrays.labels))
    batches = Batches(arrays, size, shuffle=True, seed=params.seed, device=device)
    batch = next(iter(batches.epoch(0)))
    _, step_ms = choose_precision("auto", model, batch.images, batch.labels)
    precision = recipe.precision
    return (min(step_ms.values()) if precision == "auto" else step_ms[precision]) / 1e3
