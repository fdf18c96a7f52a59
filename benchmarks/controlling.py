"""What the controller costs beside the training that it steers.

Short fits are run for real, and the time inside of the controller is taken apart, in steps of the
same fit: profiling the device, once; a decision, each epoch; what a step with a look at the
gradient's noise takes longer than the others. All three are the same in a longer fit of the same
network, so their share of one as long as traditional training in the ablation follows. The gates'
arithmetic is no overhead but a lever, and left off.
"""

import tempfile
import time
from dataclasses import asdict, dataclass
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
from lowtide.data.arrays import ImageArrays
from lowtide.data.batches import Batch, Batches
from lowtide.models.factory import ModelSpec, build
from lowtide.params import TrainParams
from lowtide.training.allocator import keep_freed_memory
from lowtide.training.checkpoint import Progress
from lowtide.training.fit import fit
from lowtide.training.losses import label_loss
from lowtide.training.record import Reading
from lowtide.training.steering import NOISE_EVERY, NOISE_LOOKS, Controller
from lowtide.training.work import Fit

NUM_IMAGES, EPOCHS, SIZE, SIDE = 4000, 4, 128, 32
OF_EPOCHS, OF_STEPS = 8, 8 * 351  # the fit that shares are of: 45,000 images in batches of 128
CPU = torch.device("cpu")
LIMIT = 0.005


@dataclass(frozen=True)
class Cost:
    """In steps of the fit."""

    profile: float
    decision: float
    look: float  # at the noise; 0 where there are none

    @property
    def share(self) -> float:
        looks = min(OF_STEPS // NOISE_EVERY, NOISE_LOOKS)
        return (self.profile + OF_EPOCHS * self.decision + looks * self.look) / OF_STEPS


class Timed(Controller):
    """A controller that is timed from outside."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.decisions_s: list[float] = []
        self.steps_s: dict[bool, list[float]] = {True: [], False: []}  # by: with a look

    def next_epoch(self, work: Fit) -> None:
        started = time.perf_counter()
        super().next_epoch(work)
        self.decisions_s.append(time.perf_counter() - started)

    def backward(self, work: Fit, batch: Batch) -> float:
        looks, started = self.state.noise.num_measured, time.perf_counter()
        loss = super().backward(work, batch)
        whole = work.knobs.batch_size == SIZE and batch.images.shape[-1] == SIDE
        if whole and work.progress.step > 0:  # comparable, and warm
            looked = self.state.noise.num_measured > looks
            self.steps_s[looked].append(time.perf_counter() - started)
        return loss

    @property
    def cost(self) -> Cost:
        step_s = median(self.steps_s[False])
        first_s, *later_s = self.decisions_s
        look_s = median(self.steps_s[True]) - step_s if self.steps_s[True] else 0.0
        return Cost((first_s - median(later_s)) / step_s, median(later_s) / step_s, look_s / step_s)


def cost(levers: Levers, folder: Path, seed: int) -> Cost:
    """Of one fit."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (NUM_IMAGES, 3, SIDE, SIDE), dtype=np.uint8)
    arrays = ImageArrays(images, random.integers(0, 10, NUM_IMAGES))
    train = Batches(arrays, SIZE, shuffle=True, seed=seed, device=CPU, augment="flip-shift",
                    drop_last=True)  # fmt: skip
    val = Batches(ImageArrays(images[:500], arrays.labels[:500]), 500, shuffle=False, seed=0,
                  device=CPU)  # fmt: skip
    recipe = TrainParams(
        epochs=EPOCHS, batch_size=SIZE, learning_rate=0.1, schedule="cycle", momentum=0.9,
        weight_decay=5e-4, augment="flip-shift", precision="auto", label_smoothing=0.1,
    )  # fmt: skip
    spec = ModelSpec("tidenet-s", 3, (SIDE, SIDE), 10, (120.0,) * 3, (60.0,) * 3)
    model = build(spec).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    steering = Timed(
        Weights(1.0, 0.1, 0.1, 1.0, 1.0), levers, seed=seed,
        input_shape=(3, SIDE, SIDE), round_to=8,
        energy_share_min=0.5, read=lambda: Reading(0.1, 0.1, 0.1, 0.1, 1.0), inference_j=0.01,
        spent=(0.0, 0.0), say=lambda _: None,
    )  # fmt: skip
    progress = Progress("run", "benchmark", Knobs(SIZE, "fp32", end=EPOCHS))
    path = folder / f"{time.time_ns()}.safetensors"
    fit(Fit(model, label_loss(0.1), train, val, recipe, progress, path, CPU, steering), [])
    return steering.cost


def main(
    repeats: Annotated[int, typer.Option(min=1)] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Share of a fit's time that the controller takes, by levers."""
    keep_freed_memory()
    settings = {
        "landing (default)": Levers((), True, EPOCHS, False),
        "landing, small images": Levers((), True, EPOCHS, False, image_scale=0.5),
        "landing, batch of three sizes": Levers((64, SIZE, 256), True, EPOCHS, False),
    }
    costs: dict[str, list[Cost]] = {name: [] for name in settings}
    with tempfile.TemporaryDirectory() as folder:
        for seed in track(range(repeats), console=Console(stderr=True)):
            for name, levers in settings.items():
                costs[name].append(cost(levers, Path(folder), seed))
    result: dict[str, Any] = {
        "costs": {name: [asdict(one) for one in found] for name, found in costs.items()},
        "shares": {name: [one.share for one in found] for name, found in costs.items()},
        "limit": LIMIT, "of_steps": OF_STEPS, "of_epochs": OF_EPOCHS,
        **circumstances(num_repeats=repeats),
    }  # fmt: skip
    head = ("profile, steps", "decision", "look at the noise", "share", "largest")
    table = Table("levers", *head, title=f"of a fit of {OF_STEPS} steps, n = {repeats}")
    for name, found in costs.items():
        parts = ([getattr(one, part) for one in found] for part in ("profile", "decision", "look"))
        shares = [one.share for one in found]
        table.add_row(
            name, *(f"{median(part):.2f}" for part in parts), f"{median(shares):.2%}",
            f"{max(shares):.2%}",
        )  # fmt: skip
    publish("controlling", result, table, as_json)


if __name__ == "__main__":
    typer.run(main)
