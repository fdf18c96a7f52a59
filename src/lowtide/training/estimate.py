"""How long training will take here, from a few timed steps."""

from datetime import timedelta
from math import ceil

import torch

from lowtide import artifacts
from lowtide.clock import Clock
from lowtide.data.arrays import load_split
from lowtide.data.batches import Batches
from lowtide.data.card import load_card
from lowtide.models.factory import ModelSpec, build
from lowtide.params import DistillParams, FitParams, Params
from lowtide.training.recipe import choose_precision, pick_device

TEACHING = 1 / 3  # the teacher's forward pass, as a share of a whole training step of the teacher


def estimate_hours(params: Params, clock: Clock) -> dict[str, float]:
    """Hours of the clock that train, distill and prune will take at full power, by stage.

    The step of each network is timed on the prepared data, once; no weights are kept.
    """
    num_images = len(load_split(artifacts.DATA, "train").labels)
    teacher_s = _step_seconds(params, params.model.teacher, params.train)
    student_s = _step_seconds(params, params.model.student or params.model.teacher, params.distill)
    teacher_s /= min(params.train.batch_size, num_images)
    student_s /= min(params.distill.batch_size, num_images)
    hours = num_images / clock.real_seconds(timedelta(hours=1))
    asked = {  # epochs' worth of the teacher's passes; prune finds what distill has kept
        "distill": _passes(params.distill),
        "prune": 0 if params.prune.views else _passes(params.prune),
    }
    return {
        "train": hours * params.train.epochs * teacher_s,
        "distill": hours * (params.distill.epochs * student_s
                            + asked["distill"] * TEACHING * teacher_s),
        "prune": hours * (params.prune.epochs * student_s + asked["prune"] * TEACHING * teacher_s),
    }  # fmt: skip


def _passes(recipe: DistillParams) -> int:
    """Of the teacher over all images; an image and its mirror image are one view of two passes,
    and where answers are kept two views share them."""
    num_views = min(recipe.views or recipe.epochs, recipe.epochs)
    if recipe.teacher_tta == "none":
        return num_views
    return 2 * (ceil(num_views / 2) if recipe.views else num_views)


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
