"""Every exported candidate on the test set, in the runtime that will serve it."""

import csv
import io
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from lowtide import artifacts
from lowtide.artifacts import read_json, report_path
from lowtide.data.batches import ImageArrays, load_card, load_split
from lowtide.evaluation.accuracy import paired_drop, recall_per_class
from lowtide.models.weights import load_model
from lowtide.params import Params
from lowtide.runtime.onnx_model import OnnxModel
from lowtide.runtime.probe import probe
from lowtide.stages.context import StageContext

TORCH_SOURCE = {
    "teacher": artifacts.TEACHER,
    "student": artifacts.STUDENT,
    "fp32": artifacts.PRUNED,
    "int8": artifacts.PRUNED,
}


def run(params: Params, context: StageContext) -> dict[str, Any]:
    exported = read_json(report_path("export"))
    test = load_split(artifacts.DATA, "test")
    names = load_card(artifacts.DATA).class_names
    models = {
        name: OnnxModel(Path(entry["path"]), params.evaluate.num_threads)
        for name, entry in exported["candidates"].items()
    }
    answers = {name: model.logits(test.images).argmax(1) for name, model in models.items()}
    probed = probe(
        models, test.images[:256], context.window,
        batch_size=params.evaluate.batch_size, num_repeats=params.evaluate.num_repeats,
    )  # fmt: skip
    candidates = {
        name: {
            **_accuracy(answers[name], answers["teacher"], test, len(names)),
            "onnx_agreement": _agreement(name, answers[name], test),
            "size_bytes": exported["candidates"][name]["size_bytes"],
            **asdict(probed[name]),
        }
        for name in models
    }
    chosen = exported["model"]
    _write_predictions(answers[chosen], test.labels, names)
    _write_comparison(candidates)
    for name, figures in candidates.items():
        context.run.log_metrics(
            {f"{name}_{key}": value for key, value in figures.items() if _is_number(value)}
        )
    return {
        "model": chosen,
        "accuracy": candidates[chosen]["accuracy"],
        "accuracy_split": "test",
        "num_images": len(test.labels),
        "runtime": asdict(models[chosen].runtime),
        "candidates": candidates,
    }


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _accuracy(
    predicted: np.ndarray, teacher: np.ndarray, test: ImageArrays, num_classes: int
) -> dict[str, Any]:
    recalls = recall_per_class(predicted, test.labels, num_classes)
    drop, low, high = paired_drop(teacher, predicted, test.labels)
    return {
        "accuracy": float((predicted == test.labels).mean()),
        "accuracy_drop": drop,
        "accuracy_drop_low": low,
        "accuracy_drop_high": high,
        "worst_class_recall": min(recalls),
        "recall_per_class": recalls,
    }


def _agreement(name: str, predicted: np.ndarray, test: ImageArrays) -> float:
    """Share of test images on which the exported file and the torch model agree."""
    import torch

    model, _ = load_model(TORCH_SOURCE[name])
    model.eval()
    with torch.no_grad():
        batches = torch.split(torch.from_numpy(np.array(test.images)), 256)
        reference = torch.cat([model(batch).argmax(1) for batch in batches]).numpy()
    return float((reference == predicted).mean())


def _write_predictions(predicted: np.ndarray, labels: np.ndarray, names: tuple[str, ...]) -> None:
    """actual,predicted for `dvc plots` as a confusion matrix."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("actual", "predicted"))
    writer.writerows((names[a], names[p]) for a, p in zip(labels, predicted, strict=True))
    artifacts.write_text(artifacts.REPORTS / "predictions.csv", text.getvalue())


def _write_comparison(candidates: dict[str, dict[str, Any]]) -> None:
    keys = ("accuracy", "inference_energy_j", "latency_ms_p50", "throughput_per_s", "size_bytes")
    rows = [
        ",".join([name, *(str(figures[key]) for key in keys)])
        for name, figures in candidates.items()
    ]
    artifacts.write_text(
        artifacts.REPORTS / "candidates.csv",
        "\n".join([",".join(["candidate", *keys]), *rows]) + "\n",
    )
