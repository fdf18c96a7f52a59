"""Accuracy over joules of all trials that are through, the front drawn, grams as colour."""

from collections.abc import Mapping
from typing import Any

from lowtide.report.plots import GREEN, GREY, new_figure, svg_text

JOULES, ACCURACY, GRAMS = "energy_j_per_inference", "accuracy", "emissions_g"


def search_plot(found: Mapping[str, Any]) -> str:
    """As SVG; up and to the left is better."""
    figure, axes = new_figure()
    through = [trial for trial in found["trials"] if trial["state"] == "complete"]
    front = sorted(found["pareto"], key=lambda one: float(one[JOULES]))
    axes.step(
        [one[JOULES] for one in front], [one[ACCURACY] for one in front],
        where="post", color=GREY, label="front",
    )  # fmt: skip
    points = axes.scatter(
        [one[JOULES] for one in through], [one[ACCURACY] for one in through],
        c=[one[GRAMS] for one in through], cmap="viridis_r", zorder=2,
    )  # fmt: skip
    figure.colorbar(points, label="g CO2e")
    for name, one in (("reference", found["reference"]), ("chosen", found["chosen"])):
        if one is not None and one[ACCURACY] is not None:
            axes.plot(one[JOULES], one[ACCURACY], "o", markersize=11, fillstyle="none",
                      color=GREEN if name == "chosen" else "black", label=name)  # fmt: skip
    axes.set(xscale="log", xlabel="J per inference", ylabel="validation accuracy")
    axes.legend(frameon=False, fontsize="small")
    return svg_text(figure)
