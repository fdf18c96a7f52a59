"""A plan to look at: as SVG, and as bars in a terminal."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from lowtide.artifacts import atomic
from lowtide.planning.plan import Plan
from lowtide.planning.simulate import Outcome

BARS = " ▁▂▃▄▅▆▇█"


def plan_figure(plan: Plan) -> bytes:
    """SVG: the forecast as a step line, the chosen slots shaded, the deadline as a line."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 2.6), layout="constrained")
    axes = figure.add_subplot()
    axes.step(
        [date2num(value.start) for value in plan.forecast],
        [value.intensity_g_per_kwh for value in plan.forecast],
        where="post",
        color="#3b6ea5",
    )
    for slot in plan.slots:
        axes.axvspan(date2num(slot.start), date2num(slot.end), color="#2a9d8f", alpha=0.25, lw=0)
    axes.axvline(date2num(plan.deadline), color="#c1440e", ls="--", lw=1)
    axes.set(ylabel="gCO2e/kWh", ylim=(0, None), title=plan.reason)
    locator = AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def plan_text(plan: Plan) -> str:
    """A column an hour: forecast above, chosen hours marked below, the reason last."""
    highest = max((value.intensity_g_per_kwh for value in plan.forecast), default=0.0)
    if highest == 0:
        return plan.reason
    scale = (len(BARS) - 1) / highest
    bars = "".join(BARS[round(value.intensity_g_per_kwh * scale)] for value in plan.forecast)
    marks = "".join(
        "=" if any(s.start < value.end and s.end > value.start for s in plan.slots) else "."
        for value in plan.forecast
    )
    span = f"{plan.forecast[0].start:%d %b %H:%M} to {plan.forecast[-1].end:%d %b %H:%M} UTC"
    return f"{bars}  up to {highest:.0f} g/kWh\n{marks}  {span}\n{plan.reason}"


def backtest_figure(outcomes: Sequence[Mapping[str, Outcome]], path: Path) -> None:
    """Boxes of the saving against running now, one per policy, written to .svg or .png."""
    from matplotlib.figure import Figure

    names = [name for name in outcomes[0] if name != "run-now"]
    savings = [
        [1 - job[name].emissions_g_per_kw / job["run-now"].emissions_g_per_kw for job in outcomes]
        for name in names
    ]
    figure = Figure(figsize=(7, 0.45 * len(names) + 1.2), layout="constrained")
    axes = figure.add_subplot()
    axes.boxplot(savings, orientation="horizontal", tick_labels=names, whis=(5, 95), sym="")
    axes.axvline(0, color="#c1440e", lw=1)
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.set(xlabel=f"emissions saved against running now, {len(outcomes)} jobs (5-95 %)")
    with atomic(path) as temporary:
        figure.savefig(temporary, format=path.suffix.lstrip(".") or "svg")
