"""Reports in lines for the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from lowtide.evaluation.reasons import INFORM_ONLY


def stage_line(report: Mapping[str, Any]) -> str:
    """For example `train: accuracy 0.9861 (val), 0.0003 kWh, 0.09 g CO2e (estimated), 12 s`."""
    parts = []
    if report.get("accuracy") is not None:
        parts.append(f"accuracy {report['accuracy']:.4f} ({report['accuracy_split']})")
    if "passed" in report:
        parts.append("passed" if report["passed"] else "refused")
    parts.append(energy_text(report))
    parts.append(f"{report['duration_s']:.0f} s")
    return f"{report['stage']}: {', '.join(parts)}"


def energy_text(report: Mapping[str, Any]) -> str:
    energy, grams = number(report["energy_kwh"], "kWh"), number(report["emissions_g"], "g CO2e")
    replay = ", replay" if report["provenance"]["clock"] == "replay" else ""
    return f"{energy}, {grams} ({report['provenance']['energy']}{replay})"


def number(value: float | None, unit: str) -> str:
    return f"unknown {unit}" if value is None else f"{value:.3g} {unit}"


def verdict_text(verdict: Mapping[str, Any]) -> str:
    lines = [f"verdict: {'passed' if verdict['passed'] else 'REFUSED'}"]
    for reason in verdict["reasons"]:
        mark = f"{outcome(reason):<4}"
        absent = "none" if reason["passed"] else "unknown"
        value = absent if reason["value"] is None else f"{reason['value']:.4g}"
        detail = f"  ({reason['detail']})" if reason["detail"] else ""
        limit = "" if reason["limit"] is None else f", limit {reason['limit']:.4g}"
        lines.append(f"  {mark} {reason['check']}: {value}{limit}{detail}")
    return "\n".join(lines)


def outcome(reason: Mapping[str, Any]) -> str:
    """ok, FAIL, or note: a figure to know that was not judged."""
    if not reason["passed"]:
        return "FAIL"
    informs = reason["check"] in INFORM_ONLY or reason["value"] is None
    return "note" if informs else "ok"


def doctor_text(checks: Sequence[Mapping[str, Any]]) -> str:
    lines = []
    for check in checks:
        lines.append(f"{'ok  ' if check['ok'] else 'FAIL'} {check['name']}: {check['detail']}")
        if not check["ok"]:
            lines.append(f"     -> {check['fix']}")
    return "\n".join(lines)
