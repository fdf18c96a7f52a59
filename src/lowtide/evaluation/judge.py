"""The gate: from figures and budgets to a verdict. Pure; an unknown figure is a refusal."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lowtide.energy.sources import KWH_IN_J
from lowtide.params import BudgetParams

INFORM_ONLY = frozenset({"accuracy_drop_high"})  # said beside its limit, never refused for it


@dataclass(frozen=True)
class Reason:
    check: str
    passed: bool
    value: float | None
    limit: float | None
    detail: str


@dataclass(frozen=True)
class Verdict:
    passed: bool
    reasons: tuple[Reason, ...]

    def to_json(self) -> dict[str, Any]:
        return {"passed": self.passed, "reasons": [asdict(reason) for reason in self.reasons]}


@dataclass(frozen=True)
class Figures:
    """What is judged. None is unknown.

    `accuracy_drop` is teacher minus candidate on the same images, `accuracy_drop_high` the upper
    end of its 95 % interval. `hosts` are those on which the figures were taken.
    """

    accuracy: float | None
    accuracy_drop: float | None
    accuracy_drop_high: float | None
    worst_class_recall: float | None
    onnx_agreement: float | None
    training_emissions_g: float | None
    training_energy_kwh: float | None
    inference_energy_j: float | None
    teacher_inference_energy_j: float | None
    latency_ms_p95: float | None
    model_size_bytes: float | None
    hosts: frozenset[str]


def judge(figures: Figures, budgets: BudgetParams) -> Verdict:
    """Every check is made, so that a refusal names all that is wrong, not the first thing."""
    reasons = (
        _at_least("accuracy", figures.accuracy, budgets.accuracy_min),
        _at_most("accuracy_drop", figures.accuracy_drop, budgets.accuracy_drop_max),
        _informs("accuracy_drop_high", figures.accuracy_drop_high, budgets.accuracy_drop_max),
        _at_least("worst_class_recall", figures.worst_class_recall, budgets.worst_class_recall_min),
        _at_least("onnx_agreement", figures.onnx_agreement, budgets.onnx_agreement_min),
        _at_most(
            "training_emissions_g", figures.training_emissions_g, budgets.training_emissions_g_max
        ),
        _at_most(
            "training_energy_kwh", figures.training_energy_kwh, budgets.training_energy_kwh_max
        ),
        _at_most("inference_energy_j", figures.inference_energy_j, budgets.inference_energy_j_max),
        _at_most("latency_ms_p95", figures.latency_ms_p95, budgets.latency_ms_p95_max),
        _at_most("model_size_bytes", figures.model_size_bytes, budgets.model_size_bytes_max),
        _breaks_even(figures, budgets.break_even_inferences_max),
    )
    return Verdict(all(reason.passed for reason in reasons), reasons)


def break_even_inferences(figures: Figures) -> float | None:
    """Training energy over the joules that one inference saves against the teacher.

    None where a figure is unknown, where nothing is saved (it never breaks even), or where the
    figures are of several hosts: their joules are not compared.
    """
    new, old = figures.inference_energy_j, figures.teacher_inference_energy_j
    if new is None or old is None or figures.training_energy_kwh is None or new >= old:
        return None
    if len(figures.hosts) > 1:
        return None
    return figures.training_energy_kwh * KWH_IN_J / (old - new)


def from_reports(reports: Mapping[str, Mapping[str, Any]]) -> Figures:
    """Pick the judged figures out of the reports of evaluate, export and the training stages."""
    evaluation = reports["evaluate"]
    chosen = evaluation["candidates"][evaluation["model"]]
    teacher = evaluation["candidates"]["teacher"]
    stages = [reports[name] for name in ("train", "distill", "prune", "quantize")]
    hosts = frozenset(report["provenance"]["host"] for report in (*stages, evaluation))
    return Figures(
        accuracy=chosen["accuracy"],
        accuracy_drop=chosen["accuracy_drop"],
        accuracy_drop_high=chosen["accuracy_drop_high"],
        worst_class_recall=chosen["worst_class_recall"],
        onnx_agreement=chosen["onnx_agreement"],
        training_emissions_g=_sum(stage["emissions_g"] for stage in stages),
        training_energy_kwh=_sum(stage["energy_kwh"] for stage in stages),
        inference_energy_j=chosen["inference_energy_j"],
        teacher_inference_energy_j=teacher["inference_energy_j"],
        latency_ms_p95=chosen["latency_ms_p95"],
        model_size_bytes=chosen["size_bytes"],
        hosts=hosts,
    )


def _sum(values: Any) -> float | None:
    known = list(values)
    return None if any(value is None for value in known) else float(sum(known))


def _at_least(check: str, value: float | None, limit: float) -> Reason:
    return Reason(check, value is not None and value >= limit, value, limit, _detail(value))


def _at_most(check: str, value: float | None, limit: float) -> Reason:
    return Reason(check, value is not None and value <= limit, value, limit, _detail(value))


def _informs(check: str, value: float | None, limit: float) -> Reason:
    """Above the limit is said, not refused: with few test images the interval is wide by itself."""
    side = "above" if value is not None and value > limit else "within"
    detail = f"95 % upper bound, {side} the limit: for information, does not decide"
    return Reason(check, value is not None, value, limit, _detail(value, detail))


def _breaks_even(figures: Figures, limit: float) -> Reason:
    value = break_even_inferences(figures)
    new, old = figures.inference_energy_j, figures.teacher_inference_energy_j
    detail = "inferences after which compression has paid for the whole training"
    if new is not None and old is not None and new >= old:
        detail = "never: an inference takes no less than the teacher's"
    elif len(figures.hosts) > 1:
        detail = f"figures of several hosts are not compared: {', '.join(sorted(figures.hosts))}"
    elif value is None:
        detail = _UNKNOWN
    return Reason(
        "break_even_inferences", value is not None and value <= limit, value, limit, detail
    )


def _detail(value: float | None, detail: str = "") -> str:
    return detail if value is not None else _UNKNOWN


_UNKNOWN = "unknown, and the unknown is refused"
