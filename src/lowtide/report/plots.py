"""The passport's plots as SVG text, drawn without a display."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SLOWEST = 12  # layers that are drawn
BLUE, GREEN, GREY = "#3b6ea5", "#2a9d8f", "#b8bfc7"


def stages_plot(stages: Mapping[str, Mapping[str, Any]]) -> str:
    """Grams per stage, beside what they would have been if run at once; unknown is left out."""
    known = {
        name: stage
        for name, stage in stages.items()
        if stage["emissions_g"] is not None and stage["run_now_emissions_g"] is not None
    }
    figure, axes = new_figure()
    places = range(len(known))
    axes.barh(
        [p + 0.2 for p in places], [stage["run_now_emissions_g"] for stage in known.values()],
        height=0.4, color=GREY, label="if run at once",
    )  # fmt: skip
    axes.barh(
        [p - 0.2 for p in places], [stage["emissions_g"] for stage in known.values()],
        height=0.4, color=GREEN, label="emitted",
    )  # fmt: skip
    axes.set_yticks(list(places), list(known))
    axes.invert_yaxis()
    axes.set_xlabel("g CO2e")
    axes.legend(frameon=False)
    return svg_text(figure)


def candidates_plot(candidates: Mapping[str, Mapping[str, Any]]) -> str:
    """Accuracy against joules per inference: up and to the left is better."""
    figure, axes = new_figure()
    for name, candidate in candidates.items():
        if candidate["inference_energy_j"] is None:
            continue
        axes.plot(candidate["inference_energy_j"], candidate["accuracy"], "o", label=name)
    axes.set(xscale="log", xlabel="J per inference", ylabel="test accuracy")
    axes.margins(x=0.2, y=0.2)
    if axes.lines:
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return svg_text(figure)


def layers_plot(layers: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Microseconds per image of the slowest layers, for each of some files side by side."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    for place, (name, table) in enumerate(layers.items(), 1):
        axes = figure.add_subplot(1, len(layers), place)
        slowest = sorted(table, key=lambda layer: -layer["seconds"])[:SLOWEST]
        labels = [f"{layer['module'] or layer['name']} ({layer['op_type']})" for layer in slowest]
        axes.barh(range(len(slowest)), [1e6 * one["seconds"] for one in slowest], color=BLUE)
        axes.set_yticks(range(len(slowest)), labels, fontsize=6)
        axes.invert_yaxis()
        axes.set(title=name, xlabel="us per image")
        axes.spines[["top", "right"]].set_visible(False)
    return svg_text(figure)


def curves_plot(files: Mapping[str, Path]) -> str:
    """Validation accuracy by epoch of each fit."""
    figure, axes = new_figure()
    for name, path in files.items():
        with path.open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        epochs = [int(row["epoch"]) for row in rows]
        axes.plot(epochs, [float(row["val_accuracy"]) for row in rows], label=name)
    axes.set(xlabel="epoch", ylabel="validation accuracy")
    axes.legend(frameon=False)
    return svg_text(figure)


def new_figure() -> tuple["Figure", "Axes"]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def svg_text(figure: "Figure") -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
