"""How long a checkpoint of a network of 25 million parameters takes, and going on from it.

Weights and momentum, 200 MB, on the disk of the working directory, fsync included. Reading it back
is verifying by checksum and loading into network and optimizer. Going on is all that a process with
its libraries loaded does before its next step: build the network, find, verify and load the
checkpoint, and load the step's images. Within an epoch half of its steps are done.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
import torch
import typer
from rich.table import Table
from torch import nn

from benchmarks.publish import circumstances, publish
from lowtide.controller.knobs import Knobs
from lowtide.data.arrays import load_split
from lowtide.data.batches import Batches
from lowtide.models.factory import Classifier
from lowtide.params import TrainParams
from lowtide.training.checkpoint import (
    Progress,
    peek_checkpoint,
    restore_checkpoint,
    save_checkpoint,
    usable_checkpoint,
)
from lowtide.training.fit import fit
from lowtide.training.losses import label_loss
from lowtide.training.protocols import Hook
from lowtide.training.steady import Steady
from lowtide.training.work import Fit

MARK = "benchmark"
CPU = torch.device("cpu")
NUM_CLASSES = 3000
RECIPE = TrainParams(
    epochs=10, batch_size=128, learning_rate=0.1, schedule="cycle", momentum=0.9,
    weight_decay=1e-4, augment="flip-shift", precision="fp32", label_smoothing=0.0,
)  # fmt: skip
START = Progress("run", MARK, Knobs(RECIPE.batch_size, "fp32", end=RECIPE.epochs), decided=1)


class ReachedError(Exception):
    """The next step would be taken now."""


class NextStep(Hook):
    """Leaves before the first step, and tells when that was."""

    def before_step(self, step: float, num_steps: float) -> None:  # noqa: ARG002
        self.at_s = time.perf_counter()
        raise ReachedError


def network() -> Classifier:
    """ResNet-sized: 25.2 million parameters in 3x3 convolutions of 512 channels, and a head."""
    blocks = [
        nn.Sequential(nn.Conv2d(512, 512, 3, bias=False), nn.BatchNorm2d(512)) for _ in range(10)
    ]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, NUM_CLASSES)]
    return Classifier(nn.Sequential(nn.Conv2d(3, 512, 3), *blocks, *head), (120.0,), (60.0,))


def draw_images(folder: Path, num: int) -> None:
    """Of 3 x 64 x 64, as `prepare` leaves them."""
    generator = np.random.default_rng(0)
    for split, size in (("train", num), ("val", 1)):
        images = generator.integers(0, 256, (size, 3, 64, 64), dtype=np.uint8)
        np.save(folder / f"{split}_images.npy", images)
        np.save(folder / f"{split}_labels.npy", generator.integers(0, NUM_CLASSES, size))


def begun(folder: Path) -> Fit:
    """What a process begins with, as `stages.beginning` has it."""
    checkpoint, size = folder / "train.safetensors", RECIPE.batch_size
    train = Batches(load_split(folder, "train"), size, shuffle=True, seed=0, device=CPU,
                    augment=RECIPE.augment, drop_last=True)  # fmt: skip
    val = Batches(load_split(folder, "val"), size, shuffle=False, seed=0, device=CPU)
    progress = peek_checkpoint(checkpoint, MARK) or START
    return Fit(
        network(), label_loss(0.0), train, val, RECIPE, progress, checkpoint, CPU, Steady()
    )  # fmt: skip


def give_momentum(work: Fit) -> None:
    """To every parameter."""
    for parameter in work.model.parameters():
        parameter.grad = torch.ones_like(parameter)
    work.optimizer.step()
    work.optimizer.zero_grad(set_to_none=True)


def seconds(action: Callable[[], object], num_repeats: int) -> list[float]:
    taken = []
    for _ in range(num_repeats):
        started = time.perf_counter()
        action()
        taken.append(time.perf_counter() - started)
    return taken


def seconds_to_next_step(folder: Path, num_repeats: int) -> list[float]:
    """From the folder's checkpoint, which is written again each time, outside of what is timed."""
    taken = []
    for _ in range(num_repeats):
        hook, started = NextStep(), time.perf_counter()
        try:
            fit(begun(folder), [hook])
        except ReachedError:
            taken.append(hook.at_s - started)
    return taken


def measured(folder: Path, num_images: int, repeats: int) -> tuple[Fit, dict[str, list[float]]]:
    """Seconds of each repetition, by what is timed."""
    draw_images(folder, num_images)
    work = begun(folder)
    give_momentum(work)
    path = work.checkpoint

    def resume() -> None:
        assert usable_checkpoint(path, MARK) is not None
        restore_checkpoint(path, work.model, work.optimizer)

    def write() -> None:
        save_checkpoint(path, work.progress, work.model, work.optimizer)

    found = {"write_s": seconds(write, repeats), "resume_s": seconds(resume, repeats)}
    found["next_step_s"] = seconds_to_next_step(folder, repeats)
    work.progress = replace(work.progress, step=len(work.train) // 2)
    work.save()
    return work, found | {"next_step_within_epoch_s": seconds_to_next_step(folder, repeats)}


def main(
    repeats: Annotated[int, typer.Option(min=1)] = 10,
    images: Annotated[int, typer.Option(min=2 * RECIPE.batch_size)] = 20_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Seconds to write a checkpoint, and to go on from one."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        work, found = measured(Path(folder), images, repeats)
        size = work.checkpoint.stat().st_size
    result = {
        "num_parameters": sum(parameter.numel() for parameter in work.model.parameters()),
        "size_bytes": size,
        "num_images": images,
        "num_steps_done": work.progress.step,
        **found,
        **circumstances(num_repeats=repeats),
    }
    table = Table("of a checkpoint", "median, s", "slowest, s", title=f"{size / 1e6:.0f} MB")
    names = ("writing", "reading it back", "to the next step", "to the next step within an epoch")
    for name, taken in zip(names, found.values(), strict=True):
        table.add_row(name, f"{median(taken):.2f}", f"{max(taken):.2f}")
    publish("checkpoint", result, table, as_json)


if __name__ == "__main__":
    typer.run(main)
