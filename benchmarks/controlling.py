"""What the controller costs beside the training that it steers.

A fit is run for real, and the time inside of the controller is added up: profiling, decisions, and
what a step with a look at the gradient's noise takes longer than the others. The gates' arithmetic
is no overhead but a lever, and left off.
"""

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.publish import circumstances, publish
from lowtide.controller.knobs import Knobs, Levers, Weights
from lowtide.data.batches import Batch, Batches, ImageArrays
from lowtide.models.factory import ModelSpec, build
from lowtide.params import TrainParams
from lowtide.training.allocator import keep_freed_memory
from lowtide.training.checkpoint import Progress
from lowtide.training.fit import fit
from lowtide.training.losses import label_loss
from lowtide.training.record import Reading
from lowtide.training.steering import Controller
from lowtide.training.work import Fit

NUM_IMAGES, EPOCHS = 4000, 6
CPU = torch.device("cpu")
LIMIT = 0.005


class Timed(Controller):
    """A controller that is timed from outside."""

    deciding_s = 0.0

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.steps: dict[bool, list[float]] = {True: [], False: []}  # by: with a look at the noise

    def next_epoch(self, work: Fit) -> None:
        started = time.perf_counter()
        super().next_epoch(work)
        self.deciding_s += time.perf_counter() - started

    def backward(self, work: Fit, batch: Batch) -> float:
        looks, started = self.state.noise.num_measured, time.perf_counter()
        loss = super().backward(work, batch)
        looked = self.state.noise.num_measured > looks
        self.steps[looked].append(time.perf_counter() - started)
        return loss

    @property
    def overhead_s(self) -> float:
        usual = median(self.steps[False])
        return self.deciding_s + sum(max(each - usual, 0.0) for each in self.steps[True])


def share(levers: Levers, folder: Path, seed: int) -> float:
    """Of the fit's time."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (NUM_IMAGES, 3, 32, 32), dtype=np.uint8)
    arrays = ImageArrays(images, random.integers(0, 10, NUM_IMAGES))
    train = Batches(arrays, 128, shuffle=True, seed=seed, device=CPU, augment="flip-shift",
                    drop_last=True)  # fmt: skip
    val = Batches(ImageArrays(images[:500], arrays.labels[:500]), 500, shuffle=False, seed=0,
                  device=CPU)  # fmt: skip
    recipe = TrainParams(
        epochs=EPOCHS, batch_size=128, learning_rate=0.1, schedule="cycle", momentum=0.9,
        weight_decay=5e-4, augment="flip-shift", precision="auto", label_smoothing=0.1,
    )  # fmt: skip
    spec = ModelSpec("tidenet-s", 3, (32, 32), 10, (120.0,) * 3, (60.0,) * 3)
    model = build(spec).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    steering = Timed(
        Weights(1.0, 0.1, 0.1, 1.0, 1.0), levers, seed=seed, input_shape=(3, 32, 32), round_to=8,
        energy_share_min=0.5, read=lambda: Reading(0.1, 0.1, 0.1, 0.1, 1.0), inference_j=0.01,
        spent=(0.0, 0.0), say=lambda _: None,
    )  # fmt: skip
    progress = Progress("run", "benchmark", Knobs(128, "fp32", end=EPOCHS))
    path = folder / f"{time.time_ns()}.safetensors"
    started = time.perf_counter()
    fit(Fit(model, label_loss(0.1), train, val, recipe, progress, path, CPU, steering), [])
    return steering.overhead_s / (time.perf_counter() - started)


def main(
    repeats: Annotated[int, typer.Option(min=1)] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Share of a fit's time that the controller takes, by levers."""
    keep_freed_memory()
    settings = {
        "landing (default)": Levers((), True, EPOCHS, False),
        "landing, small images": Levers((), True, EPOCHS, False, image_scale=0.5),
        "landing, batch of three sizes": Levers((64, 128, 256), True, EPOCHS, False),
    }
    shares: dict[str, list[float]] = {name: [] for name in settings}
    with tempfile.TemporaryDirectory() as folder:
        for seed in track(range(repeats), console=Console(stderr=True)):
            for name, levers in settings.items():
                shares[name].append(share(levers, Path(folder), seed))
    result: dict[str, Any] = {
        "shares": shares, "limit": LIMIT, "epochs": EPOCHS, "num_images": NUM_IMAGES,
        **circumstances(num_repeats=repeats),
    }  # fmt: skip
    table = Table("levers", "median share", "largest", title=f"a fit of {EPOCHS} epochs")
    for name, found in shares.items():
        table.add_row(name, f"{median(found):.2%}", f"{max(found):.2%}")
    publish("controlling", result, table, as_json)


if __name__ == "__main__":
    typer.run(main)
