"""One training run of the ablation: an arm, a seed, a data set; its joules and test accuracy."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import torch

from lowtide.carbon.signal import IntensityValue
from lowtide.clock import ReplayClock
from lowtide.controller.knobs import Knobs, Levers, Precision, Weights
from lowtide.data.arrays import load_split
from lowtide.data.batches import Batches
from lowtide.data.card import Card, load_card
from lowtide.energy.ledger import Ledger
from lowtide.energy.meter import EnergyMeter, Window
from lowtide.energy.process_tree import ProcessTreeSource
from lowtide.energy.sources import EnergySource, Reading, open_sources
from lowtide.models.cost import count_macs
from lowtide.models.factory import build
from lowtide.params import TrainParams
from lowtide.stages.fitting import model_spec
from lowtide.training.checkpoint import Progress
from lowtide.training.fit import fit
from lowtide.training.losses import label_loss
from lowtide.training.protocols import Steering
from lowtide.training.recipe import choose_precision, pick_device
from lowtide.training.record import Reading as Look
from lowtide.training.steady import Steady
from lowtide.training.steering import Controller
from lowtide.training.step import evaluate
from lowtide.training.work import Fit

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Task:
    """What all arms train on. The constant `rate` and the cycle's `peak` are tuned beforehand."""

    name: str
    folder: Path
    model: str
    epochs: int
    batch_size: int
    batch_sizes: tuple[int, ...]
    rate: float
    peak: float
    augment: str
    num_images: int | None
    energy_share_min: float
    image_scale: float


@dataclass(frozen=True)
class Arm:
    """Which levers are on. `epochs` of the task's, for a baseline that is tuned to be short."""

    name: str
    cycle: bool = False
    batch: bool = False
    precision: bool = False
    gates: bool = False
    grow: bool = False
    land: bool = False
    shift: bool = False
    target: bool = False  # ends at the accuracy of traditional training
    epochs: float = 1.0


TRADITIONAL = Arm("traditional")
LEVERS = (
    Arm("time shift", shift=True),
    Arm("learning-rate cycle", cycle=True),
    Arm("batch size", batch=True),
    Arm("precision and layout", precision=True),
    Arm("image size", grow=True),
    Arm("gates", gates=True),
    Arm("early landing", land=True, target=True),
)
ALL = Arm("all", cycle=True, precision=True, grow=True, land=True, shift=True)
STRONG = Arm("strong", cycle=True, precision=True)


@dataclass(frozen=True)
class Trained:
    """Energy of processor and GPU, with profiling, validation and checkpoints; `energy_source` says
    whether it was measured or estimated."""

    accuracy: float
    val_accuracy: float
    energy_kwh: float
    duration_s: float
    epochs: float
    macs_share: float
    precision: str
    energy_source: str
    reasons: tuple[str, ...]


Runs = dict[str, list[Trained]]  # by the arm's name, a run for each seed


class _Grams:
    """The grid plays no part in this run: its grams are told by the replay."""

    zone, name = "none", "none"

    def current(self, at: datetime) -> IntensityValue:
        return IntensityValue(
            zone="none", start=at, end=at, intensity_g_per_kwh=1000.0, kind="average",
            status="measured", source="none",
        )  # fmt: skip

    def history(self, start: datetime, end: datetime) -> list[IntensityValue]:  # noqa: ARG002
        return []

    def forecast(self, at: datetime, hours: float) -> list[IntensityValue]:  # noqa: ARG002
        return []


def train(
    task: Task,
    arm: Arm,
    seed: int,
    budget_kwh: float | None,
    target: float | None,
    folder: Path,
    say: Callable[[str], None] = lambda _: None,
) -> Trained:
    """budget_kwh: the unit of energy in L; half as much again as traditional training took.
    target: the validation accuracy that traditional training of this seed ended with.

    Joules are this process's share of the processor's, by CPU time, and a GPU's whole ones.
    """
    torch.manual_seed(seed)
    device, card = pick_device(), load_card(task.folder)
    model = build(model_spec(task.model, card)).to(device)
    if arm.precision:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    recipe = _recipe(task, arm)
    macs = count_macs(model, card.shape)
    path = folder / f"{task.name}-{arm.name}-{seed}-{time.time_ns()}"
    clock = ReplayClock(NOON, 1.0)
    with Ledger(path.with_suffix(".db")) as ledger:
        meter = EnergyMeter(_sources(), _Grams(), clock, ledger, pue=1.0)
        with meter.window(path.name, "train") as window:
            train_set, val, test = _batches(task, recipe, seed, device)
            precision: Precision = "fp32"
            if arm.precision:
                batch = next(iter(train_set.epoch(0)))
                precision, _ = choose_precision("auto", model, batch.images, batch.labels)
            knobs = Knobs(task.batch_size, precision, end=recipe.epochs)
            work = Fit(
                model, label_loss(recipe.label_smoothing), train_set, val, recipe,
                Progress(path.name, "ablation", knobs), path.with_suffix(".safetensors"), device,
                _steering(task, arm, seed, card, window, budget_kwh, target, say),
            )  # fmt: skip
            fit(work, [])
            window.close()
            totals = window.totals()
        reasons = _reasons(work.steering)
    assert totals.energy_kwh is not None
    _, accuracy = evaluate(model, test, device, "fp32")
    return Trained(
        accuracy, work.progress.history[-1]["val_accuracy"], totals.energy_kwh,
        totals.duration_s, work.progress.position, count_macs(model, card.shape) / macs,
        work.knobs.precision, totals.provenance, reasons,
    )  # fmt: skip


@lru_cache(maxsize=1)
def _sources() -> list[EnergySource]:
    """For as long as this process trains."""
    return [
        ProcessTreeSource(WithoutMemory(source), time.process_time) for source in open_sources()
    ]


@dataclass(frozen=True)
class WithoutMemory:
    """Memory is left out: it draws the same whatever runs beside."""

    inner: EnergySource

    def read(self) -> list[Reading]:
        return [one for one in self.inner.read() if not one.component.startswith("ram")]

    def close(self) -> None:
        self.inner.close()


def _recipe(task: Task, arm: Arm) -> TrainParams:
    return TrainParams(
        epochs=max(round(task.epochs * arm.epochs), 1), batch_size=task.batch_size,
        learning_rate=task.peak if arm.cycle else task.rate,
        schedule="cycle" if arm.cycle else "constant", momentum=0.9, weight_decay=5e-4,
        augment=task.augment, precision="auto" if arm.precision else "fp32", label_smoothing=0.1,
    )  # fmt: skip


def _batches(
    task: Task, recipe: TrainParams, seed: int, device: torch.device
) -> tuple[Batches, Batches, Batches]:
    train, val, test = (load_split(task.folder, split) for split in ("train", "val", "test"))
    if task.num_images is not None:
        train = type(train)(train.images[: task.num_images], train.labels[: task.num_images])
    return (
        Batches(train, recipe.batch_size, shuffle=True, seed=seed, device=device,
                augment=recipe.augment, drop_last=True),
        Batches(val, 500, shuffle=False, seed=seed, device=device),
        Batches(test, 500, shuffle=False, seed=seed, device=device),
    )  # fmt: skip


def _steering(
    task: Task,
    arm: Arm,
    seed: int,
    card: Card,
    window: Window,
    budget_kwh: float | None,
    target: float | None,
    say: Callable[[str], None],
) -> Steering:
    if not (arm.batch or arm.gates or arm.land or arm.grow):
        return Steady()
    assert budget_kwh is not None

    def read() -> Look:
        window.sample()
        return Look.of(window.totals(), 1.0)

    grams = budget_kwh * 1000.0
    sizes = task.batch_sizes if arm.batch else ()
    return Controller(
        Weights(WEIGHTS[0], WEIGHTS[1], WEIGHTS[2], budget_kwh, grams),
        Levers(
            sizes, arm.land, max(task.epochs // 6, 2), arm.gates, target,
            task.image_scale if arm.grow else 1.0,
        ),
        seed=seed, input_shape=card.shape, round_to=8, energy_share_min=task.energy_share_min,
        read=read, inference_j=None, spent=(0.0, 0.0), say=say,
    )  # fmt: skip


WEIGHTS = (1.0, 0.5, 0.5)  # alpha, beta, gamma


def _reasons(steering: Steering) -> tuple[str, ...]:
    if not isinstance(steering, Controller):
        return ()
    return tuple(reason for one in steering.state.decisions for reason in one["reasons"])
