"""After how many inferences a model has saved what its making took."""

from lowtide.energy.sources import KWH_IN_J
from lowtide.evaluation.figures import Figures
from lowtide.evaluation.reasons import NO_CHAMPION, UNKNOWN, Reason, not_there

TEACHER, CHAMPION = "break_even_inferences", "champion_break_even_inferences"


def break_even_inferences(
    training_energy_kwh: float | None, new_j: float | None, old_j: float | None
) -> float | None:
    """Training energy over the joules that one inference saves.

    None where a figure is unknown, or where nothing is saved: it never breaks even.
    """
    if training_energy_kwh is None or new_j is None or old_j is None or new_j >= old_j:
        return None
    return training_energy_kwh * KWH_IN_J / (old_j - new_j)


def teacher_break_even(figures: Figures, expected: float) -> Reason:
    """Against the teacher, which would be served had nothing been compressed. It decides."""
    value, why_not = _against(figures, figures.teacher_inference_energy_j, "teacher")
    detail = "inferences after which compression has paid for the whole training"
    if value is None:
        detail = why_not or UNKNOWN
    return Reason(TEACHER, value is not None and value <= expected, value, expected, detail)


def champion_break_even(figures: Figures, expected: float) -> Reason:
    """Against what serves by now; for information: a model may be made to be more accurate."""
    champion = figures.champion
    if champion is None:
        return not_there(CHAMPION, expected, NO_CHAMPION)
    if champion.incomparable is not None:
        return not_there(CHAMPION, expected, f"not comparable with version {champion.version}")
    value, why_not = _against(figures, champion.inference_energy_j, "champion")
    if value is None:
        return not_there(CHAMPION, expected, why_not or "unknown: for information")
    side = "within" if value <= expected else "above"
    detail = f"{side} what is expected: for information, does not decide"
    return Reason(CHAMPION, True, value, expected, detail)


def _against(figures: Figures, old_j: float | None, reference: str) -> tuple[float | None, str]:
    """Inferences until it breaks even; else None and why, where more is known than that a figure
    is not."""
    new_j = figures.inference_energy_j
    if len(figures.hosts) > 1:
        return None, _several(figures.hosts)
    value = break_even_inferences(figures.training_energy_kwh, new_j, old_j)
    if value is not None:
        return value, ""
    never = new_j is not None and old_j is not None and new_j >= old_j
    return None, f"never: an inference takes no less than the {reference}'s" if never else ""


def _several(hosts: frozenset[str]) -> str:
    return (
        f"figures of several hosts are not compared: {', '.join(sorted(hosts))}; run "
        "`dvc repro --force` on one of them"
    )
