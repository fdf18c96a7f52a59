"""The gate: from figures and budgets to a verdict. Pure; an unknown figure is a refusal."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from lowtide.evaluation.breaking_even import champion_break_even, teacher_break_even
from lowtide.evaluation.figures import AgainstChampion, Figures
from lowtide.evaluation.reasons import (
    NO_CHAMPION,
    UNKNOWN,
    Reason,
    at_least,
    at_most,
    informs,
    not_there,
)
from lowtide.evaluation.statistics import PairedDrop
from lowtide.params import BudgetParams

NO_INTENSITY = f"{UNKNOWN}; where a replay outran its trace lower carbon.replay_speed before"

OF_A_RUN = ("inference_energy_j", "champion_break_even_inferences", "break_even_inferences")
OF_TIME = ("latency_ms_p95", "model_size_bytes")


@dataclass(frozen=True)
class Verdict:
    """model_sha256: of the file it is about. champion: version and sha256 of what that was held
    against; None: there is none."""

    passed: bool
    model_sha256: str
    reasons: tuple[Reason, ...]
    champion: Mapping[str, Any] | None

    def to_json(self) -> dict[str, Any]:
        return {
            "passed": self.passed,
            "model_sha256": self.model_sha256,
            "champion": self.champion,
            "reasons": [asdict(reason) for reason in self.reasons],
        }


def judge(figures: Figures, budgets: BudgetParams) -> Verdict:
    """Every check is made, so that a refusal names all that is wrong, not the first thing."""
    reasons = (
        *_of_accuracy(figures, budgets),
        *_against_champion(figures.champion, budgets),
        *_of_cost(figures, budgets),
        teacher_break_even(figures, budgets.expected_inferences),
        champion_break_even(figures, budgets.expected_inferences),
        _provenance(figures),
    )
    sourced = tuple(replace(one, source=_source(one.check, figures.sources)) for one in reasons)
    champion = figures.champion
    against = None if champion is None else {"version": champion.version, "sha256": champion.sha256}
    passed = all(reason.passed for reason in sourced)
    return Verdict(passed, figures.model_sha256, sourced, against)


def _of_accuracy(figures: Figures, budgets: BudgetParams) -> tuple[Reason, ...]:
    drop = figures.drop
    side = "above" if drop is not None and drop.high > budgets.accuracy_drop_max else "within"
    bound = (
        f"{100 * budgets.confidence:g} % upper bound, {side} the limit: for information, "
        "does not decide"
    )
    return (
        at_least("accuracy", figures.accuracy, budgets.accuracy_min),
        at_most("accuracy_drop", _drop(drop), budgets.accuracy_drop_max, _told(drop, "teacher")),
        informs("accuracy_drop_high", _high(drop), budgets.accuracy_drop_max, bound),
        at_least("worst_class_recall", figures.worst_class_recall, budgets.worst_class_recall_min),
        at_most("calibration_error", figures.calibration_error, budgets.calibration_error_max),
        at_least("onnx_agreement", figures.onnx_agreement, budgets.onnx_agreement_min),
    )


def _against_champion(
    champion: AgainstChampion | None, budgets: BudgetParams
) -> tuple[Reason, ...]:
    """Not worse than allowed, as far as so many images can tell: the interval decides, else small
    losses within the noise would add up, promotion by promotion."""
    limits = {
        "champion_drop_high": budgets.champion_drop_max,
        "robustness_drop_high": budgets.robustness_drop_max,
    }
    if champion is None:
        return tuple(not_there(check, limit, NO_CHAMPION) for check, limit in limits.items())
    if champion.incomparable is not None:
        detail = (
            f"not comparable with version {champion.version}: {champion.incomparable}; where that "
            "is meant, promote it with `python -m flows.promote --force --by WHO --why WHY`"
        )
        return tuple(Reason(check, False, None, limit, detail) for check, limit in limits.items())
    drop, robust = champion.drop, champion.robustness_drop
    shifted = "" if robust is None else f"{_points(robust)} under noise, blur and brightness"
    return (
        at_most(
            "champion_drop_high", _high(drop), budgets.champion_drop_max,
            _standing(drop, champion, budgets.confidence, budgets.champion_drop_max),
        ),
        at_most(
            "robustness_drop_high", champion.robustness_drop_high, budgets.robustness_drop_max,
            shifted,
        ),
    )  # fmt: skip


def _standing(
    drop: PairedDrop | None, champion: AgainstChampion, confidence: float, limit: float
) -> str:
    """Better, worse, or what the images cannot tell."""
    if drop is None:
        return ""
    if drop.p_value < 1 - confidence:
        found = "worse" if drop.drop > 0 else "better"
    else:
        found = "the same within noise"
    more = ""
    if drop.high > limit and drop.drop <= limit:
        more = "; more test images would tell more"
    return f"{found}: {_told(drop, f'champion, version {champion.version}')}{more}"


def _told(drop: PairedDrop | None, reference: str) -> str:
    if drop is None:
        return ""
    return (
        f"{_points(drop.drop)} against the {reference}: {drop.lost} images lost, {drop.won} won, "
        f"p {drop.p_value:.2g}"
    )


def _drop(drop: PairedDrop | None) -> float | None:
    return None if drop is None else drop.drop


def _high(drop: PairedDrop | None) -> float | None:
    return None if drop is None else drop.high


def _points(drop: float) -> str:
    return f"{0.0 - 100 * drop:+.2f} points"


def _of_cost(figures: Figures, budgets: BudgetParams) -> tuple[Reason, ...]:
    emissions, *others = (
        at_most(check, getattr(figures, check), getattr(budgets, f"{check}_max"))
        for check in (
            "training_emissions_g", "training_energy_kwh", "inference_energy_j",
            "latency_ms_p95", "model_size_bytes",
        )
    )  # fmt: skip
    if emissions.value is None and figures.training_energy_kwh is not None:
        emissions = replace(emissions, detail=NO_INTENSITY)
    return emissions, *others


def _provenance(figures: Figures) -> Reason:
    """Figures that do not fit together, or whose source is unknown: none are allowed."""
    broken = figures.broken
    return Reason("provenance", not broken, float(len(broken)), 0.0, "; ".join(broken))


def _source(check: str, sources: Mapping[str, str]) -> str:
    if check in sources:
        return sources[check]
    if check in OF_A_RUN:
        return sources["inference"]
    if check in OF_TIME:
        return sources["time"]
    return "" if check == "provenance" else sources["test"]
