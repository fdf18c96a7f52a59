"""What became of each compression technique, one line each."""

from collections.abc import Mapping
from typing import Any

from lowtide.pipeline import Reports

ADAPTED = ("distill", "prune")


def technique_lines(reports: Reports) -> list[str]:
    """For example `prune: rolled back: 0.98 times less than before, ...`, and whether the target
    was reached."""
    lines = [
        f"{stage}: {_outcome(reports[stage]['technique'])}"
        for stage in ADAPTED
        if "technique" in reports[stage]
    ]
    if "half" in reports["quantize"]:
        lines.append(f"quantize: {_precision(reports['quantize'])}")
    target = reports["evaluate"].get("target")
    return lines if target is None else [*lines, f"target: {target['said']}"]


def _outcome(decisions: Mapping[str, Any]) -> str:
    """By the last decision that was taken."""
    if "stayed" in decisions:
        last = decisions["stayed"]
        return f"{'kept' if last['yes'] else 'rolled back'}: {last['reason']}"
    last = decisions.get("promised", decisions["entered"])
    return f"left out: {last['reason']}"


def _precision(report: Mapping[str, Any]) -> str:
    """Of the file that was chosen; why int8 is not kept where none is."""
    model = report["model"]
    if model == "fp32":
        return f"rolled back: int8 {report['why']}"
    why = report["why"] if model == "int8" else report["half"][model]["why"]
    return f"{model} kept: {why}"
