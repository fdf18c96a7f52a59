"""Every exported candidate on the test set, in the runtime that will serve it."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from lowtide import artifacts
from lowtide.artifacts import file_sha256, read_json, report_path, write_rows
from lowtide.data.arrays import ImageArrays, load_split
from lowtide.data.card import load_card
from lowtide.energy.counting import counting_window
from lowtide.energy.totals import Totals
from lowtide.evaluation.answers import CHAMPION, MODEL, Answers, answers_of, write_answers
from lowtide.evaluation.candidates import Candidate, candidate_figures
from lowtide.evaluation.chain import TEACHER, TEACHER_TORCH, chain_rows
from lowtide.evaluation.champion import Rival
from lowtide.evaluation.robustness import shifted_answers
from lowtide.evaluation.target import reached
from lowtide.models.weights import load_model
from lowtide.params import EvaluateParams, Params
from lowtide.runtime.layers import layer_table
from lowtide.runtime.onnx_model import CPU, OnnxModel
from lowtide.runtime.probe import Turns, take_latencies, take_turns
from lowtide.runtime.torch_model import TorchModel
from lowtide.stages.context import StageContext

TORCH_SOURCE = {
    "teacher": artifacts.TEACHER,
    "student": artifacts.STUDENT,
    "fp32": artifacts.PRUNED,
    "int8": artifacts.PRUNED,
    "float16": artifacts.PRUNED,
    "bfloat16": artifacts.PRUNED,
}
PROBED_IMAGES = 256
COMPARISON, LAYERS = artifacts.REPORTS / "candidates.csv", artifacts.REPORTS / "layers.csv"

Model = OnnxModel | TorchModel
Figures = dict[str, dict[str, Any]]
Layers = dict[str, list[dict[str, Any]]]


def run(params: Params, context: StageContext) -> dict[str, Any]:
    exported = read_json(report_path("export"))
    test, card = load_split(artifacts.DATA, "test"), load_card(artifacts.DATA)
    candidates, chosen = _open(exported["candidates"], params.evaluate), exported["model"]
    champion = Rival.of_record(card, params.evaluate)
    models: dict[str, Model] = {name: one.model for name, one in candidates.items()}
    models |= champion.models
    turns, used = _probe(models, test.images[:PROBED_IMAGES], params.evaluate)
    logits = {name: model.logits(test.images) for name, model in models.items()}
    figures = candidate_figures(
        candidates, turns, {name: each.argmax(1) for name, each in logits.items()}, test, card,
        batch_size=params.evaluate.batch_size, provenance=used.provenance,
    )  # fmt: skip
    _write_answers(logits, models, chosen, test)
    paths = {name: Path(exported["candidates"][name]["path"]) for name in (TEACHER, chosen)}
    layers = _layers(paths, figures, test.images, candidates[chosen], params.evaluate)
    _write_predictions(logits[chosen].argmax(1), test.labels, card.class_names)
    _write_tables(figures, layers, context)
    for name, entry in exported["candidates"].items():
        figures[name]["sha256"] = file_sha256(Path(entry["path"]))
    in_torch = {**figures.pop(TEACHER_TORCH), "runtime": _runtime(candidates[TEACHER_TORCH])}
    return {
        "model": chosen,
        "model_sha256": figures[chosen]["sha256"],
        "accuracy": figures[chosen]["accuracy"],
        "accuracy_split": "test",
        "num_images": len(test.labels),
        "data_sha256": card.sha256,
        "runtime": _runtime(candidates[chosen]),
        "energy_sources": {name: part.source for name, part in used.components.items()},
        "target": _target(chosen, figures, layers, params, context),
        "candidates": figures,
        TEACHER_TORCH: in_torch,
        CHAMPION: champion.report(logits, turns, test.labels, params.evaluate, used),
        "layers": layers,
    }


def _open(exported: Mapping[str, Any], params: EvaluateParams) -> dict[str, Candidate]:
    """The teacher as it was trained first, then the files."""
    networks = {path: load_model(path)[0] for path in set(TORCH_SOURCE.values())}
    files = {
        name: Candidate(
            OnnxModel(Path(entry["path"]), params.num_threads, provider=params.provider),
            networks[TORCH_SOURCE[name]],
            entry["size_bytes"],
        )
        for name, entry in exported.items()
    }
    network, size_bytes = files[TEACHER].network, artifacts.TEACHER.stat().st_size
    in_torch = TorchModel(network, like=files[TEACHER].model.runtime)
    return {TEACHER_TORCH: Candidate(in_torch, network, size_bytes), **files}


def _probe(
    models: Mapping[str, Model], images: np.ndarray, params: EvaluateParams
) -> tuple[dict[str, Turns], Totals]:
    """In a window of its own: what other processes use while a model has its turn is not its."""
    with counting_window() as window:
        turns = take_turns(
            models, images, window, batch_size=params.batch_size, num_repeats=params.num_repeats
        )
        used = window.totals()
    take_latencies(models, images, turns, num_repeats=params.num_repeats)
    return turns, used


def _write_answers(
    logits: Mapping[str, np.ndarray], models: Mapping[str, Model], chosen: str, test: ImageArrays
) -> None:
    """Of the model that was chosen, its teacher and the champion, for the judge."""
    asked = {MODEL: chosen, TEACHER: TEACHER, CHAMPION: CHAMPION}
    said = {name: answers_of(logits[key]) for name, key in asked.items() if key in logits}
    shifted = shifted_answers(
        {name: models[asked[name]] for name in said if name != TEACHER}, test.images
    )
    answers = Answers(
        test.labels,
        {name: named for name, (named, _) in said.items()},
        {name: confidence for name, (_, confidence) in said.items()},
        shifted,
    )
    write_answers(artifacts.ANSWERS, answers)


def _runtime(candidate: Candidate) -> dict[str, Any]:
    return asdict(candidate.model.runtime)


def _layers(
    paths: Mapping[str, Path],
    figures: Figures,
    images: np.ndarray,
    chosen: Candidate,
    params: EvaluateParams,
) -> Layers:
    """Empty on a GPU, whose kernels ONNX Runtime's profiler does not wait for."""
    if chosen.model.runtime.provider != CPU:
        return {}
    batch = np.resize(images[: params.batch_size], (params.batch_size, *images.shape[1:]))
    return {
        name: [
            asdict(layer)
            for layer in layer_table(
                path, batch, energy_j=figures[name]["inference_energy_j"],
                num_threads=params.num_threads,
            )
        ]
        for name, path in paths.items()
    }  # fmt: skip


def _target(
    chosen: str, figures: Figures, layers: Layers, params: Params, context: StageContext
) -> dict[str, Any] | None:
    """Whether the chain's target is met, said on stderr; None where there is none."""
    ratio = params.compress.energy_ratio_min
    if ratio is None:
        return None
    found = reached(chosen, figures[chosen]["times_less"][TEACHER], layers.get(chosen, []), ratio)
    context.say(found.said)
    return asdict(found)


def _write_predictions(predicted: np.ndarray, labels: np.ndarray, names: tuple[str, ...]) -> None:
    """actual,predicted for `dvc plots` as a confusion matrix."""
    rows = ({"actual": names[a], "predicted": names[p]}
            for a, p in zip(labels, predicted, strict=True))  # fmt: skip
    write_rows(artifacts.REPORTS / "predictions.csv", rows)


def _write_tables(figures: Figures, layers: Layers, context: StageContext) -> None:
    """Candidates and layers as CSV, both into MLflow, and every number as a metric."""
    rows = chain_rows(figures)
    write_rows(COMPARISON, rows)
    write_rows(
        LAYERS,
        ({"candidate": name, **layer} for name, table in layers.items() for layer in table),
    )
    for row, one in zip(rows, figures.values(), strict=True):
        context.run.log_metrics(
            {f"{row['candidate']}_{key}": value for key, value in _numbers({**one, **row})}
        )
    for path in (COMPARISON, LAYERS):
        context.run.log_artifact(path)


def _numbers(figures: Mapping[str, Any]) -> Iterable[tuple[str, float]]:
    for key, value in figures.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield key, float(value)
