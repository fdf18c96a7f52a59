"""How long the gate takes from reports and answers to a verdict, by the number of test images."""

import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table

from benchmarks.publish import circumstances, publish
from lowtide.evaluation.answers import CHAMPION, MODEL, TEACHER, read_answers, write_answers
from lowtide.evaluation.answers import Answers as Said
from lowtide.evaluation.figures import from_reports
from lowtide.evaluation.judge import judge
from lowtide.evaluation.robustness import SHIFTS
from lowtide.params import load_params

LIMIT_S = 2.0
CLASSES = 10
ERRORS = {MODEL: 0.13, TEACHER: 0.12, CHAMPION: 0.13}
PARAMS = Path(__file__).parent.parent / "params.yaml"


def main(
    quick: Annotated[bool, typer.Option("--quick", help="1,000 and 10,000 images.")] = False,
    repeats: Annotated[int, typer.Option(min=1)] = 9,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Seconds of one verdict, the file of answers read each time."""
    sizes = (1_000, 10_000) if quick else (1_000, 10_000, 100_000)
    seconds = {str(size): _verdict_s(size, repeats) for size in sizes}
    result = {"seconds": seconds, "limit_s": LIMIT_S, **circumstances(repeats)}
    publish("gate", result, _table(seconds), as_json)


def _verdict_s(num_images: int, repeats: int) -> dict[str, float]:
    budgets = load_params(PARAMS).budgets
    answers = _answers(num_images)
    reports = _reports(answers)
    taken, busy = [], []
    with tempfile.TemporaryDirectory(prefix="lowtide-gate-") as folder:
        path = Path(folder) / "answers.npz"
        write_answers(path, answers)
        for _ in range(repeats):
            began, used = perf_counter(), process_time()
            judge(from_reports(reports, read_answers(path), budgets.confidence), budgets)
            taken.append(perf_counter() - began)
            busy.append(process_time() - used)
    return {
        "median": median(taken), "first": taken[0], "max": max(taken), "processor": median(busy)
    }  # fmt: skip


def _answers(num_images: int) -> Said:
    random = np.random.default_rng(0)
    labels = random.integers(0, CLASSES, num_images)

    def named(error: float) -> np.ndarray:
        wrong = random.random(num_images) < error
        return np.where(wrong, (labels + 1) % CLASSES, labels)

    return Said(
        labels,
        {name: named(error) for name, error in ERRORS.items()},
        {name: random.random(num_images).astype(np.float32) for name in ERRORS},
        {name: {shift: named(2 * ERRORS[name]) for shift in SHIFTS} for name in (MODEL, CHAMPION)},
    )


def _reports(answers: Said) -> dict[str, Any]:
    provenance = {"host": "a", "energy": "estimated", "intensity": "trace", "clock": "replay"}
    stage = {"emissions_g": 1.0, "energy_kwh": 0.001, "provenance": provenance}
    own = {
        "accuracy": float((answers.named[MODEL] == answers.labels).mean()),
        "worst_class_recall": 0.9, "onnx_agreement": 1.0, "inference_energy_j": 0.001,
        "latency_ms_p95": 1.0, "size_bytes": 1.0, "provenance": "estimated",
    }  # fmt: skip
    runtime = {"name": "onnxruntime", "version": "", "provider": "", "num_threads": 1}
    return {
        **dict.fromkeys(("train", "distill", "prune", "quantize"), stage),
        "prepare": {"data": {"sha256": "d"}},
        "evaluate": {
            "model": "int8", "model_sha256": "a", "data_sha256": "d",
            "candidates": {"int8": own, "teacher": own}, "num_images": len(answers.labels),
            "runtime": runtime, "provenance": provenance,
            "champion": {
                "version": 1, "sha256": "c", "incomparable": None, "inference_energy_j": 0.002
            },
        },
    }  # fmt: skip


def _table(seconds: dict[str, dict[str, float]]) -> Table:
    table = Table(
        "test images", "median", "first", "slowest", "processor", title="a verdict, in seconds"
    )
    for size, found in seconds.items():
        table.add_row(
            size, *(f"{found[key]:.3f}" for key in ("median", "first", "max", "processor"))
        )
    return table


if __name__ == "__main__":
    typer.run(main)
