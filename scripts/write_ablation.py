"""The ablation's table and plot, in README.md and docs/experiments.md.

python scripts/write_ablation.py --add    keep benchmarks/results/ablation.json in docs/ablation/
python scripts/write_ablation.py          write table and plot from what is kept
"""

import argparse
import json
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from lowtide.report.plots import BLUE, GREEN, GREY, new_figure, svg_text

ROOT = Path(__file__).parent.parent
KEPT = ROOT / "docs/ablation/ablation.json"
PLOT = ROOT / "docs/ablation/ablation.svg"
BEGIN, END = "<!-- ablation -->\n", "<!-- /ablation -->\n"
HEADER = (
    "| data | lever | emissions | energy (of the seeds) | points of accuracy (sd) |\n"
    "|---|---|---|---|---|\n"
)


def keep() -> None:
    """The last benchmark's result."""
    result = json.loads((ROOT / "benchmarks/results/ablation.json").read_text(encoding="utf-8"))
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def table(result: dict[str, Any]) -> str:
    """Every lever, every length of all levers, and each of those against the strong baseline."""
    lines = [HEADER]
    for task, found in result["by_task"].items():
        lines += [_row(task, name, row) for name, row in found["levers"].items()]
        lines += [_row(task, f"**{name}**", row) for name, row in found["lengths"].items()]
        lines += [
            _against_strong(task, name, row)
            for name, row in found["against_strong"].items()
            if row is not None
        ]
    return "".join(lines)


def brief(result: dict[str, Any]) -> str:
    """Every lever, the shortest that is as good as traditional training, and the strong baseline
    at the same accuracy, in the mean of the lengths that have one."""
    lines = [HEADER]
    for task, found in result["by_task"].items():
        whole = found["all"]
        lines += [_row(task, name, row) for name, row in found["levers"].items()]
        lines.append(
            _row(task, f"**all levers, {whole['ours'].removeprefix('all ')} of the epochs**", whole)
        )
        if whole["emissions_ratio_strong"] is not None:
            lengths = [name for name, row in found["against_strong"].items() if row is not None]
            between = " to ".join(name.removeprefix("all ") for name in (lengths[0], lengths[-1]))
            lines.append(
                f"| {task} | **all levers, {between} of the epochs, against the strong baseline** "
                f"| {whole['emissions_ratio_strong']:.2f} | {whole['energy_ratio_strong']:.2f} "
                "| 0, by construction |\n"
            )
    return "".join(lines)


def _against_strong(task: str, name: str, row: dict[str, Any]) -> str:
    known = [ratio for ratio in row["energy_ratio_by_seed"] if ratio is not None]
    spread = f" ({min(known):.2f} to {max(known):.2f})" if known else ""
    return (
        f"| {task} | {name}, against the strong baseline | {row['emissions_ratio']:.2f} "
        f"| {row['energy_ratio']:.2f}{spread} | 0, by construction |\n"
    )


def _row(task: str, name: str, row: dict[str, Any]) -> str:
    low, high = row["spread"]["energy_ratio"]
    sd = row["spread"]["accuracy_delta_points_sd"]
    return (
        f"| {task} | {name} | {row['emissions_ratio']:.2f} | {row['energy_ratio']:.2f} "
        f"({low:.2f} to {high:.2f}) | {row['accuracy_delta_points']:+.2f}"
        f"{'' if sd is None else f' ({sd:.2f})'} |\n"
    )


def note(result: dict[str, Any]) -> str:
    """What the figures rest on."""
    host, versions = result["host"], result["versions"]
    runs = next(iter(result["by_task"].values()))["runs"]["traditional"]
    return (
        f"\nTraditional training = 1, mean of {result['num_repeats']} seeds. Energy is "
        f"{runs[0]['energy_source']} (codecarbon {versions['codecarbon']}), of "
        f"{host['num_cpus']} cores ({host['processor']}), torch {versions['torch']}. "
        f"Emissions by replay on {_num_grids(result)} grids. `python -m benchmarks.ablation`, "
        "docs/experiments.md.\n"
    )


def _num_grids(result: dict[str, Any]) -> int:
    return len(
        next(iter(result["by_task"].values()))["levers"]["time shift"]["emissions_ratio_by_trace"]
    )


def plot(result: dict[str, Any]) -> str:
    """Test accuracy over energy: traditional training, the strong baseline, all levers."""
    task, found = list(result["by_task"].items())[-1]
    runs = found["runs"]
    usual_kwh = mean(run["energy_kwh"] for run in runs["traditional"])
    figure, axes = new_figure()
    for family, colour, label in (
        ("traditional", GREY, "traditional"), ("strong ", BLUE, "strong baseline, by length"),
        ("all ", GREEN, "all levers that pay, by length"),
    ):  # fmt: skip
        chosen = [of for name, of in runs.items() if name.startswith(family)]
        energy = [mean(run["energy_kwh"] for run in of) / usual_kwh for of in chosen]
        accuracy = [100 * mean(run["accuracy"] for run in of) for of in chosen]
        spread = [
            100 * stdev(run["accuracy"] for run in of) if len(of) > 1 else 0.0 for of in chosen
        ]
        axes.errorbar(energy, accuracy, spread, fmt="o-", color=colour, label=label, capsize=2)
    axes.set(xlabel="energy, traditional training = 1", ylabel=f"test accuracy of {task}, %")
    axes.legend(frameon=False)
    return svg_text(figure)


def write_into(path: Path, text: str) -> None:
    before, found, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    assert found, f"{path} has no place for it: put {BEGIN.strip()} and {END.strip()} there"
    _, _, after = rest.partition(END)
    path.write_text(before + BEGIN + text + END + after, encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--add", action="store_true")
    if parser.parse_args().add:
        keep()
    result = json.loads(KEPT.read_text(encoding="utf-8"))
    PLOT.write_text(plot(result), encoding="utf-8")
    for path, place, rows in (
        ("README.md", "docs/ablation/", brief(result)),
        ("docs/experiments.md", "ablation/", table(result)),
    ):
        image = f"\n![Accuracy over energy]({place}ablation.svg)\n"
        write_into(ROOT / path, rows + note(result) + image)
