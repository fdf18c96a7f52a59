"""A search's result as a table for the terminal."""

import io
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

WIDTH = 120


def search_text(found: Mapping[str, Any]) -> str:
    """The front, what was spent, and how to take the chosen configuration."""
    return f"{_table(found)}{_spent(found)}\n{_chosen(found)}"


def _table(found: Mapping[str, Any]) -> str:
    table = Table("trial", "accuracy", "J/inference", "of the reference's", "g CO2e", "parameters")
    chosen = found["chosen"]
    for one in found["pareto"]:
        mark = " *" if chosen is not None and one["number"] == chosen["number"] else ""
        table.add_row(
            f"{one['number']}{mark}", f"{one['accuracy']:.4f}",
            f"{one['energy_j_per_inference']:.3g}", f"{one['energy_ratio']:.3f}",
            f"{one['emissions_g']:.3g}", params_text(one["params"]),
        )  # fmt: skip
    console = Console(file=io.StringIO(), width=WIDTH)
    console.print(table)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def params_text(sections: Mapping[str, Mapping[str, Any]]) -> str:
    """For example `model.student=tidenet-8-8-16, distill.epochs=9`."""
    values = [
        f"{section}.{key}={value:.3g}" if isinstance(value, float) else f"{section}.{key}={value}"
        for section, keys in sections.items()
        for key, value in keys.items()
    ]
    return ", ".join(values)


def _spent(found: Mapping[str, Any]) -> str:
    states = [trial["state"] for trial in found["trials"]]
    counts = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
    return (
        f"{len(states)} trials ({', '.join(counts)}), {found['spent_g']:.3g} of "
        f"{found['budget_g']:.3g} g CO2e spent ({found['energy']}, {found['clock']} clock)"
    )


def _chosen(found: Mapping[str, Any]) -> str:
    if found["chosen"] is None:
        return "no trial is through: a larger budget goes on with this study"
    return (
        f"chosen (*): {params_text(found['chosen']['params'])}; `lowtide search --apply` writes it "
        "into params.yaml"
    )
