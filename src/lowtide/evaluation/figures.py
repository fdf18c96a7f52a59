"""What is judged, picked out of the reports and of what each model said of each test image."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lowtide.artifacts import TRAINING
from lowtide.evaluation.answers import CHAMPION, MODEL, TEACHER, Answers
from lowtide.evaluation.statistics import (
    PairedDrop,
    calibration_error,
    mean_interval,
    paired_drop,
)

Reports = Mapping[str, Mapping[str, Any]]
KNOWN = {"measured", "estimated", "mixed"}  # provenance of energy
AGAIN = "run `lowtide stage evaluate`"


@dataclass(frozen=True)
class AgainstChampion:
    """The candidate beside the champion: same images, same runtime, same run.

    robustness_drop_high: upper end of the interval of what accuracy on shifted images has lost.
    incomparable: what kept the two apart; the figures are None then.
    """

    version: int
    sha256: str | None
    drop: PairedDrop | None
    robustness_drop: float | None
    robustness_drop_high: float | None
    inference_energy_j: float | None
    incomparable: str | None


@dataclass(frozen=True)
class Figures:
    """What is judged. None is unknown; `champion` None is: there is none.

    model_sha256: of the candidate's file. drop: from the teacher to it, on the same images. hosts:
    where the figures were taken. sources: by figure, what it rests on. broken: what does not fit
    together.
    """

    model_sha256: str
    accuracy: float | None
    drop: PairedDrop | None
    worst_class_recall: float | None
    calibration_error: float | None
    onnx_agreement: float | None
    training_emissions_g: float | None
    training_energy_kwh: float | None
    inference_energy_j: float | None
    teacher_inference_energy_j: float | None
    latency_ms_p95: float | None
    model_size_bytes: float | None
    hosts: frozenset[str]
    champion: AgainstChampion | None
    sources: Mapping[str, str]
    broken: tuple[str, ...]


def from_reports(reports: Reports, answers: Answers, confidence: float) -> Figures:
    """Of the reports of prepare, evaluate and the training stages; intervals at `confidence`."""
    evaluation = reports["evaluate"]
    chosen = evaluation["candidates"][evaluation["model"]]
    right = answers.named[MODEL] == answers.labels
    stages = [reports[name] for name in TRAINING]
    return Figures(
        model_sha256=evaluation["model_sha256"],
        accuracy=chosen["accuracy"],
        drop=paired_drop(
            answers.named[TEACHER], answers.named[MODEL], answers.labels, confidence
        ),
        worst_class_recall=chosen["worst_class_recall"],
        calibration_error=_known(calibration_error(answers.confidence[MODEL], right)),
        onnx_agreement=chosen["onnx_agreement"],
        training_emissions_g=_sum(stage["emissions_g"] for stage in stages),
        training_energy_kwh=_sum(stage["energy_kwh"] for stage in stages),
        inference_energy_j=chosen["inference_energy_j"],
        teacher_inference_energy_j=evaluation["candidates"]["teacher"]["inference_energy_j"],
        latency_ms_p95=chosen["latency_ms_p95"],
        model_size_bytes=chosen["size_bytes"],
        hosts=frozenset(report["provenance"]["host"] for report in (*stages, evaluation)),
        champion=_against_champion(evaluation.get("champion"), answers, confidence),
        sources=_sources(reports),
        broken=tuple(_broken(reports, answers)),
    )  # fmt: skip


def _against_champion(
    champion: Mapping[str, Any] | None, answers: Answers, confidence: float
) -> AgainstChampion | None:
    if champion is None:
        return None
    version, sha256 = champion["version"], champion["sha256"]
    why = champion["incomparable"]
    if why is None and CHAMPION not in answers.named:
        why = f"artifacts/answers.npz has no answers of it: {AGAIN}"
    if why is not None:
        return AgainstChampion(version, sha256, None, None, None, None, why)
    lost = _under_shifts(answers, CHAMPION) - _under_shifts(answers, MODEL)
    return AgainstChampion(
        version, sha256,
        paired_drop(answers.named[CHAMPION], answers.named[MODEL], answers.labels, confidence),
        float(lost.mean()),
        mean_interval(lost, confidence)[1],
        champion["inference_energy_j"],
        None,
    )  # fmt: skip


def _under_shifts(answers: Answers, model: str) -> np.ndarray:
    """Of each image, float64 [N], the share of its shifted versions that were named right."""
    named = np.stack(list(answers.shifted[model].values()))
    share: np.ndarray = (named == answers.labels).mean(0)
    return share


def _known(value: float) -> float | None:
    """Not where logits were no numbers."""
    return value if np.isfinite(value) else None


def _sum(values: Iterable[float | None]) -> float | None:
    total = 0.0
    for value in values:
        if value is None:
            return None
        total += value
    return total


def _sources(reports: Reports) -> dict[str, str]:
    """What figures rest on: the test set, the runtime, how training was metered."""
    evaluation = reports["evaluate"]
    runtime, host = evaluation["runtime"], evaluation["provenance"]["host"]
    where = (
        f"{runtime['name']} {runtime['version']}, {runtime['provider']}, "
        f"{runtime['num_threads']} threads, on {host}"
    )
    chosen = evaluation["candidates"][evaluation["model"]]
    training = [reports[name]["provenance"] for name in TRAINING]
    parts = {
        key: " and ".join(sorted({str(part[key]) for part in training}))
        for key in ("energy", "intensity", "clock", "host")
    }
    metered = f"{parts['energy']} energy on {parts['host']}"
    return {
        "test": f"{evaluation['num_images']} test images, data "
        f"{str(evaluation.get('data_sha256'))[:12]}, {where}",
        "inference": f"{chosen['provenance']} energy, {where}",
        "time": where,
        "training_energy_kwh": metered,
        "training_emissions_g": f"{metered}, {parts['intensity']}, {parts['clock']} clock",
    }


def _broken(reports: Reports, answers: Answers) -> Iterable[str]:
    """Of which figures it is not known what they are of, or how they came about."""
    evaluation = reports["evaluate"]
    if evaluation.get("data_sha256") != reports["prepare"]["data"]["sha256"]:
        yield f"reports/evaluate.json is of another test set than reports/prepare.json: {AGAIN}"
    accuracy = float((answers.named[MODEL] == answers.labels).mean())
    own = evaluation["candidates"][evaluation["model"]]
    if abs(accuracy - own["accuracy"]) > 1e-9:
        yield f"artifacts/answers.npz is of another model than reports/evaluate.json: {AGAIN}"
    if own["provenance"] not in KNOWN:
        yield f"joules of an inference have no source: {AGAIN} where `lowtide doctor` finds one"
    for name in TRAINING:
        if reports[name]["provenance"]["energy"] not in KNOWN:
            yield f"energy of {name} has no source: run `dvc repro --force --single-item {name}`"
