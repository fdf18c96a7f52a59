"""One peer compresses the trained teacher of a pipeline folder, as its documentation says.

`python -m benchmarks.peers NAME FOLDER TARGET.onnx`, in a process of its own so that it can be
metered. Peers get the same teacher, the same training and held-out images and the same opset; what
torch-pruning has cut is fine-tuned with the recipe of the teacher's own training.
"""

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from benchmarks.peer_names import PEERS as NAMES
from benchmarks.peer_names import SPEED_UPS
from lowtide.compression.onnx_export import export_onnx
from lowtide.controller.knobs import Knobs
from lowtide.data.arrays import load_split
from lowtide.data.batches import Batches
from lowtide.models.cost import count_macs
from lowtide.models.factory import Classifier, ModelSpec
from lowtide.models.weights import load_model, save_model
from lowtide.params import Params, TrainParams, load_params
from lowtide.runtime.onnx_model import INPUT
from lowtide.training.checkpoint import Progress
from lowtide.training.fit import fit
from lowtide.training.losses import label_loss
from lowtide.training.steady import Steady
from lowtide.training.work import Fit

NUM_CALIBRATION = 500  # NNCF's documentation: 100 to 500 samples
FINE_TUNING = 0.25  # of the teacher's training in multiply-adds, whatever is left of the network
RATE = 0.3  # of the teacher's peak learning rate


@dataclass(frozen=True)
class Task:
    folder: Path
    params: Params
    model: Classifier
    spec: ModelSpec

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.spec.in_channels, *self.spec.image_size)

    @property
    def data(self) -> Path:
        return self.folder / "artifacts" / "data"

    def export(self, model: torch.nn.Module, path: Path) -> None:
        export_onnx(model, self.shape, path, opset=self.params.export.opset)


def nncf(task: Task, target: Path) -> None:
    """Post-training quantization with the defaults: github.com/openvinotoolkit/nncf, ONNX."""
    import nncf as package
    import onnx

    images = load_split(task.data, "val").images[:NUM_CALIBRATION]
    batches = [np.array(images[start : start + 1]) for start in range(len(images))]
    dataset = package.Dataset(batches, lambda batch: {INPUT: batch})
    with TemporaryDirectory() as folder:
        float_path = Path(folder) / "float.onnx"
        task.export(task.model, float_path)
        quantized = package.quantize(onnx.load(float_path), dataset, subset_size=len(images))
    onnx.save(quantized, target)


def olive(task: Task, target: Path) -> None:
    """A workflow that searches static quantization by accuracy and latency, as its recipe does."""
    import olive as package

    with TemporaryDirectory() as name:
        folder = Path(name)
        task.export(task.model, folder / "float.onnx")
        config = folder / "config.json"
        config.write_text(json.dumps(_workflow(task, folder)), encoding="utf-8")
        found = package.run(str(config))
        shutil.copyfile(found.get_best_candidate().model_path, target)


def _workflow(task: Task, folder: Path) -> dict[str, Any]:
    """docs/source/features/quantization.md and how-to-configure-data.md of microsoft/Olive."""
    images, labels = (task.data.absolute() / f"val_{kind}.npy" for kind in ("images", "labels"))
    return {
        "input_model": {"type": "ONNXModel", "model_path": str(folder / "float.onnx")},
        "systems": {"local": {"type": "LocalSystem", "accelerators": [
            {"device": "cpu", "execution_providers": ["CPUExecutionProvider"]}]}},
        "host": "local",
        "target": "local",
        "data_configs": [{
            "name": "held_out",
            "user_script": str(Path(__file__).with_name("olive_data.py").absolute()),
            "load_dataset_config": {
                "type": "held_out_images", "images": str(images), "labels": str(labels),
                "num_images": NUM_CALIBRATION,
            },
            "post_process_data_config": {"type": "most_likely"},
            "dataloader_config": {"batch_size": 64},
        }],
        "evaluators": {"both": {"type": "OnnxEvaluator", "metrics": [
            {"name": "accuracy", "type": "accuracy", "backend": "torch_metrics",
             "data_config": "held_out", "sub_types": [{
                 "name": "accuracy_score", "priority": 1,
                 "metric_config": {"task": "multiclass", "num_classes": task.spec.num_classes},
                 "goal": {"type": "max-degradation", "value": 0.01}}]},
            {"name": "latency", "type": "latency", "data_config": "held_out",
             "sub_types": [{"name": "avg", "priority": 2}]},
        ]}},
        "evaluator": "both",
        "passes": {"quantize": {
            "type": "OnnxStaticQuantization", "data_config": "held_out",
            "per_channel": "SEARCHABLE_VALUES", "reduce_range": "SEARCHABLE_VALUES",
            "precision": "SEARCHABLE_VALUES"}},
        "search_strategy": {"execution_order": "joint", "sampler": "tpe", "max_samples": 8,
                            "seed": task.params.seed},
        "output_dir": str(folder / "out"),
        "cache_dir": str(folder / "cache"),
    }  # fmt: skip


def torch_pruning(task: Task, target: Path, speed_up: float) -> None:
    """Group magnitude, global, iterative, then fine-tuning: the README of VainF/Torch-Pruning."""
    import torch_pruning as package

    model, example = task.model, torch.zeros(1, *task.shape)
    whole = count_macs(model, task.shape)
    last = [layer for layer in model.modules() if isinstance(layer, torch.nn.Linear)][-1]
    pruner = package.pruner.BasePruner(
        model, example, importance=package.importance.GroupMagnitudeImportance(),
        iterative_steps=100, pruning_ratio=1.0, global_pruning=True, round_to=8,
        ignored_layers=[last],
    )  # fmt: skip
    for _ in range(100):
        if count_macs(model, task.shape) <= whole / speed_up:
            break
        pruner.step()
    left = count_macs(model, task.shape) / whole
    with TemporaryDirectory() as folder:
        _fine_tune(task, model, FINE_TUNING / left, Path(folder) / "checkpoint")
    save_model(target.with_suffix(".safetensors"), model, task.spec)
    task.export(model, target)


def _fine_tune(task: Task, model: Classifier, share: float, checkpoint: Path) -> None:
    """share: epochs as a share of the teacher's."""
    whole = task.params.train
    recipe = TrainParams(**{
        **whole.model_dump(), "epochs": max(round(share * whole.epochs), 1),
        "learning_rate": RATE * whole.learning_rate, "precision": "fp32",
    })  # fmt: skip
    device = torch.device("cpu")
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    train = Batches(
        load_split(task.data, "train"), recipe.batch_size, shuffle=True, seed=task.params.seed,
        device=device, augment=recipe.augment, drop_last=True,
    )  # fmt: skip
    val = Batches(load_split(task.data, "val"), 500, shuffle=False, seed=0, device=device)
    knobs = Knobs(train.batch_size, "fp32", end=recipe.epochs)
    progress = Progress("peer", checkpoint.stem, knobs)
    fit(
        Fit(model, label_loss(recipe.label_smoothing), train, val, recipe, progress, checkpoint,
            device, Steady()),
        [],
    )  # fmt: skip


FUNCTIONS: tuple[Callable[[Task, Path], None], ...] = (
    nncf, olive, *(partial(torch_pruning, speed_up=speed_up) for speed_up in SPEED_UPS),
)  # fmt: skip
PEERS = dict(zip(NAMES, FUNCTIONS, strict=True))


def main() -> None:
    name, folder, target = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]).absolute()
    os.environ.setdefault("DO_NOT_TRACK", "1")
    model, spec = load_model(folder / "artifacts" / "teacher.safetensors")
    PEERS[name](Task(folder, load_params(folder / "params.yaml"), model.eval(), spec), target)


if __name__ == "__main__":
    main()
