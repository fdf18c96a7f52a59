"""Reports and answers of a small evaluation, made by hand: 1,000 images of ten classes."""

from typing import Any

import numpy as np

from lowtide.evaluation.answers import CHAMPION, MODEL, TEACHER, Answers

NUM = 1000
LABELS = np.arange(NUM) % 10
RUNTIME = {
    "name": "onnxruntime", "version": "1.32", "provider": "CPUExecutionProvider", "num_threads": 1
}  # fmt: skip


def wrong_at(images: range | list[int]) -> np.ndarray:
    """The class named for each image, another than its label at these."""
    named = LABELS.copy()
    named[list(images)] = (named[list(images)] + 1) % 10
    return named


def answers(
    model: range | list[int],
    champion: range | list[int] | None = None,
    shifted: dict[str, range] | None = None,
) -> Answers:
    """By what the model and the champion get wrong; the teacher gets ten wrong."""
    named = {MODEL: wrong_at(model), TEACHER: wrong_at(range(10))}
    if champion is not None:
        named[CHAMPION] = wrong_at(champion)
    under = {name: wrong_at((shifted or {}).get(name, range(40))) for name in named}
    return Answers(
        LABELS,
        named,
        {name: np.full(NUM, 0.97, np.float32) for name in named},
        {
            name: {"noise": under[name], "blur": under[name], "brightness": under[name]}
            for name in named
            if name != TEACHER
        },
    )


def reports(said: Answers, champion: dict[str, Any] | None = None) -> dict[str, dict[str, Any]]:
    """That fit to the answers; `champion`: changes of its entry, None: there is none."""
    provenance = {"host": "shore", "energy": "estimated", "intensity": "trace", "clock": "replay"}
    training = {
        name: {"emissions_g": 0.25, "energy_kwh": 0.001, "provenance": dict(provenance)}
        for name in ("train", "distill", "prune", "quantize")
    }
    accuracy = float((said.named[MODEL] == said.labels).mean())
    own = {
        "accuracy": accuracy, "worst_class_recall": 0.93, "onnx_agreement": 0.999,
        "inference_energy_j": 0.0001, "latency_ms_p95": 0.2, "size_bytes": 100_000,
        "provenance": "estimated",
    }  # fmt: skip
    evaluate: dict[str, Any] = {
        "model": "int8", "model_sha256": "a" * 64, "num_images": NUM,
        "data_sha256": "d" * 64, "runtime": RUNTIME,
        "candidates": {"int8": own, "teacher": {**own, "inference_energy_j": 0.001}},
        "provenance": dict(provenance), "champion": None,
    }  # fmt: skip
    if champion is not None:
        evaluate["champion"] = {
            "version": 7, "sha256": "c" * 64, "incomparable": None,
            "inference_energy_j": 0.0002, **champion,
        }  # fmt: skip
    return {"prepare": {"data": {"sha256": "d" * 64}}, **training, "evaluate": evaluate}
