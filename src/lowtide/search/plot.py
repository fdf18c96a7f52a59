"""Accuracy over joules of all trials that are through, the front drawn, grams as colour."""

from collections.abc import Mapping, Sequence
from typing import Any

from lowtide.report.plots import GREEN, GREY, new_figure, svg_text

JOULES, ACCURACY, GRAMS = "energy_j_per_inference", "accuracy", "emissions_g"


def search_plot(found: Mapping[str, Any]) -> str:
    """As SVG; up and to the left is better."""
    from matplotlib.ticker import LogLocator, NullFormatter

    figure, axes = new_figure()
    through = [trial for trial in found["trials"] if trial["state"] == "complete"]
    steps = _rising(found["pareto"])
    axes.step(
        [1e3 * one[JOULES] for one in steps], [one[ACCURACY] for one in steps],
        where="post", color=GREY, label="front",
    )  # fmt: skip
    points = axes.scatter(
        [1e3 * one[JOULES] for one in through], [one[ACCURACY] for one in through],
        c=[one[GRAMS] for one in through], cmap="viridis_r", zorder=2,
    )  # fmt: skip
    figure.colorbar(points, label="g CO2e")
    for name, one in (("reference", found["reference"]), ("chosen", found["chosen"])):
        if one is not None and one[ACCURACY] is not None:
            axes.plot(1e3 * one[JOULES], one[ACCURACY], "o", markersize=11, fillstyle="none",
                      color=GREEN if name == "chosen" else "black", label=name)  # fmt: skip
    axes.set(xscale="log", xlabel="mJ per inference", ylabel="validation accuracy")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.legend(frameon=False, fontsize="small")
    return svg_text(figure)


def _rising(front: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of a front in three figures, what no other betters in these two."""
    found: list[Mapping[str, Any]] = []
    for one in sorted(front, key=lambda one: (one[JOULES], -one[ACCURACY])):
        if not found or one[ACCURACY] > found[-1][ACCURACY]:
            found.append(one)
    return found
