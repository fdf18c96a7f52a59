"""The README's table of results, generated from passports.

python scripts/write_results.py --add NAME    keep reports/passport.json as docs/results/NAME.json
python scripts/write_results.py               write the table into README.md
"""

import argparse
import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
README, RESULTS = ROOT / "README.md", ROOT / "docs/results"
BEGIN, END = "<!-- results -->\n", "<!-- /results -->\n"
HEADER = (
    "| data | teacher | promoted | J per inference | latency p50 | training | if run at once |\n"
    "|---|---|---|---|---|---|---|\n"
)


def keep(name: str) -> None:
    """Copy the passport of the last run; a host's name is nobody's business."""
    passport = json.loads((ROOT / "reports/passport.json").read_text(encoding="utf-8"))
    for part in (passport["provenance"], *passport["origins"]):
        del part["host"]
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(passport, indent=1) + "\n"
    (RESULTS / f"{name}.json").write_text(text, encoding="utf-8")


def row(name: str, passport: dict[str, Any]) -> str:
    metrics, model = passport["metrics"], passport["model"]
    teacher, chosen = (passport["candidates"][key] for key in ("teacher", model))
    cells = [
        name,
        f"{100 * teacher['accuracy']:.2f} %",
        f"{model}, {100 * chosen['accuracy']:.2f} %",
        f"{chosen['inference_energy_j']:.3g}, {_less(chosen, teacher, 'inference_energy_j')}",
        f"{chosen['latency_ms_p50']:.2g} ms, {_less(chosen, teacher, 'latency_ms_p50')}",
        f"{1e3 * metrics['training_energy_kwh']:.3g} Wh, {metrics['training_emissions_g']:.3g} g",
        f"{metrics['run_now_emissions_g']:.3g} g",
    ]
    return f"| {' | '.join(cells)} |\n"


def _less(chosen: dict[str, Any], teacher: dict[str, Any], key: str) -> str:
    """The median of the turns' ratios; of the medians in a passport that does not have it yet."""
    ratios = chosen.get("times_less", {}).get("teacher", {key: teacher[key] / chosen[key]})
    return f"{ratios[key]:.1f} times less"


def note(passport: dict[str, Any]) -> str:
    """What the figures of a passport rest on."""
    provenance, runtime = passport["provenance"], passport["runtime"]
    chosen = passport["candidates"][passport["model"]]
    versions = provenance["versions"]
    return (
        f"accuracy on the test set, one seed. Energy is {provenance['energy']} "
        f"(codecarbon {versions['codecarbon']}), on {provenance['cpu_count']} cores "
        f"({provenance['machine']}), {provenance['clock']} clock. The ratios are to the teacher as "
        f"fp32 in the same runtime ({runtime['name']} {runtime['version']}, "
        f"{runtime['num_threads']} threads): median of {chosen['num_repeats']} "
        f"turns at batch {chosen['batch_size']}, candidates interleaved; latency at batch 1."
        f"{_target(passport)}"
    )


def _target(passport: dict[str, Any]) -> str:
    target = passport.get("target")
    return "" if target is None else f" {target['said'].partition(';')[0]}."


def table() -> str:
    files = sorted(RESULTS.glob("*.json"))
    passports = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}
    notes = "".join(f"\n{name}: {note(passport)}\n" for name, passport in passports.items())
    return HEADER + "".join(row(*item) for item in passports.items()) + notes


def readme() -> str:
    """README.md as it should be."""
    before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + table() + END + after


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--add", metavar="NAME")
    name = parser.parse_args().add
    if name:
        keep(name)
    README.write_text(readme(), encoding="utf-8")
