"""What compression saves an inference, against its teacher and against what peers make of it.

A teacher a seed, as the example configuration trains it; from each the recipes make their students,
prune and quantize them, and peers get the same teacher. Then all files of a seed are probed in one
run, in turns, at batch 64: ratios are to the teacher's own file in ONNX Runtime, fp32. Energy of
making is metered, by process tree; `--keep` names a folder in which what is done stays done.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from statistics import mean, stdev
from typing import Annotated, Any

import numpy as np
import typer
import yaml
from rich.table import Table

from benchmarks.chains import ROOT, Patch, Pipeline, chain, teacher
from benchmarks.making import Row, making_of
from benchmarks.peer_names import PACKAGES as PEER_PACKAGES
from benchmarks.peer_names import PEERS
from benchmarks.publish import circumstances, publish
from lowtide.artifacts import read_json, write_text
from lowtide.compression.quick import quick_int8
from lowtide.data.arrays import load_split
from lowtide.data.card import load_card
from lowtide.energy.counting import counting_window
from lowtide.evaluation.candidates import Candidate, candidate_figures
from lowtide.evaluation.chain import TEACHER, TEACHER_TORCH
from lowtide.models.weights import load_model
from lowtide.runtime.onnx_model import OnnxModel
from lowtide.runtime.probe import take_latencies, take_turns
from lowtide.runtime.torch_model import TorchModel

CIFAR = Path("../shared/data/cifar10")
RECIPES = ROOT / "examples/cifar10"
BATCH_SIZE = 64
MEASURED = ("accuracy", "latency_ms_p50", "size_bytes", "num_macs", "num_parameters")


def main(
    quick: Annotated[bool, typer.Option(help="digits, one seed")] = False,
    as_json: Annotated[bool, typer.Option("--json")] = False,
    data: Annotated[str, typer.Option(help="cifar10 or digits")] = "cifar10",
    seeds: Annotated[int, typer.Option(min=1)] = 3,
    repeats: Annotated[int, typer.Option(min=2)] = 20,
    peers: Annotated[bool, typer.Option(help="NNCF, Olive, torch-pruning (extra `peers`)")] = True,
    threads: Annotated[int | None, typer.Option(help="of the runtime; default: all cores")] = None,
    keep: Annotated[Path | None, typer.Option(help="A folder for what is done.")] = None,
) -> None:
    """Accuracy, joules, latency and size of every candidate, and what each took to make."""
    data, seeds = ("digits", 1) if quick else (data, seeds)
    base, recipes = _setting(data)
    with _folder(keep) as folder:
        found = []
        for seed in range(seeds):
            place = folder / data / str(seed)
            taught_by = teacher(base, {"seed": seed}, place / "teacher")
            chains = {name: chain(taught_by, patch, place / name)
                      for name, patch in recipes.items()}  # fmt: skip
            bought = {name: _peer(name, taught_by, place / "peers") for name in PEERS if peers}
            found.append(_rows(taught_by, chains, bought, repeats, threads))
    rows = {name: _mean([each[name] for each in found]) for name in found[0]}
    result = {
        "data": data,
        "teacher_accuracy": rows[TEACHER]["accuracy"],
        "candidates": [{"name": name, **row} for name, row in rows.items()],
        "against_peers": _against_peers(rows),
        "by_seed": found,
        "num_seeds": seeds,
        "batch_size": BATCH_SIZE,
        "peer_versions": {name: metadata.version(name) for name in PEER_PACKAGES if peers},
        **circumstances(num_repeats=repeats),
    }
    publish("compression" if data == "cifar10" else f"compression_{data}", result,
            _table(result), as_json)  # fmt: skip


def _setting(data: str) -> tuple[Path, dict[str, Patch]]:
    """Params file of the teacher, and the recipes."""
    if data == "digits":
        return ROOT / "params.yaml", {"default": {}}
    if data != "cifar10" or not CIFAR.exists():
        raise SystemExit(f"no data {data!r}: take digits, or cifar10 where {CIFAR} is")
    recipes = sorted(RECIPES.glob("within-*.yaml"))
    if not recipes:
        raise SystemExit(f"there are no recipes within-*.yaml in {RECIPES}")
    return RECIPES / "params.yaml", {
        path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in recipes
    }


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        yield keep.absolute()
        return
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def _peer(name: str, taught_by: Pipeline, folder: Path) -> Row:
    """The peer's file, and the kWh and grams that `lowtide meter` says it took."""
    target = folder / f"{name.replace(' ', '-')}.onnx"
    note = target.with_suffix(".json")
    if not note.exists():
        folder.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "lowtide", "meter", "--json",
                   "--params", str(taught_by.folder / "params.yaml"), "--", sys.executable,
                   "-m", "benchmarks.peers", name, str(taught_by.folder), str(target)]  # fmt: skip
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=False, text=True)
        if done.returncode:
            raise SystemExit(f"{name} ended with {done.returncode}: see above")
        write_text(note, done.stdout.splitlines()[-1])
    return {"path": target, **read_json(note)}


def _rows(
    taught_by: Pipeline,
    chains: Mapping[str, Pipeline],
    bought: Mapping[str, Row],
    repeats: int,
    threads: int | None,
) -> dict[str, Row]:
    """Of one seed: all files probed in turns, in this process."""
    test = load_split(taught_by.artifacts / "data", "test")
    with tempfile.TemporaryDirectory() as scratch, counting_window() as window:
        candidates = _candidates(taught_by, chains, bought, Path(scratch), threads)
        models = {name: one.model for name, one in candidates.items()}
        turns = take_turns(models, test.images[:256], window,
                           batch_size=BATCH_SIZE, num_repeats=repeats)  # fmt: skip
        provenance = window.totals().provenance
        take_latencies(models, test.images[:1], turns, num_repeats=repeats)
        card = load_card(taught_by.artifacts / "data")
        answers = {name: model.logits(test.images).argmax(1) for name, model in models.items()}
        figures = candidate_figures(candidates, turns, answers, test, card, batch_size=BATCH_SIZE,
                                    provenance=provenance)  # fmt: skip
    making = making_of(taught_by, chains, bought)
    return {name: {**_row(one), **making.get(name, {})} for name, one in figures.items()}


def _candidates(
    taught_by: Pipeline,
    chains: Mapping[str, Pipeline],
    bought: Mapping[str, Row],
    scratch: Path,
    threads: int | None,
) -> dict[str, Candidate]:
    whole, _ = load_model(taught_by.artifacts / "teacher.safetensors")
    any_chain = next(iter(chains.values()))

    def opened(path: Path, network: Any = whole) -> Candidate:
        return Candidate(OnnxModel(path, threads, provider="cpu"), network, path.stat().st_size)

    first = opened(any_chain.artifacts / "teacher.fp32.onnx")
    size_bytes = (taught_by.artifacts / "teacher.safetensors").stat().st_size
    found = {TEACHER_TORCH: Candidate(TorchModel(whole, first.model.runtime), whole, size_bytes),
             TEACHER: first}  # fmt: skip
    for name, made in chains.items():
        student, _ = load_model(made.artifacts / "student.safetensors")
        pruned, _ = load_model(made.artifacts / "pruned.safetensors")
        every = scratch / f"{name}.int8.onnx"
        images = load_split(made.artifacts / "data", "train").images
        quick_int8(made.artifacts / "model.fp32.onnx", every, np.array(images[:1000]))
        found |= {
            f"{name}: student": opened(made.artifacts / "student.fp32.onnx", student),
            f"{name}: pruned": opened(made.artifacts / "model.fp32.onnx", pruned),
            f"{name}: int8": opened(every, pruned),
            f"{name}: chosen": opened(made.folder / made.report("export")["model_path"], pruned),
        }
    for name, one in bought.items():
        cut = one["path"].with_suffix(".safetensors")
        found[name] = opened(one["path"], load_model(cut)[0] if cut.exists() else whole)
    return found


def _row(figures: Mapping[str, Any]) -> Row:
    times_less = figures["times_less"]
    return {
        **{key: figures[key] for key in MEASURED},
        "accuracy_delta_points": -100 * figures["accuracy_drop"],
        "energy_ratio": times_less[TEACHER]["inference_energy_j"],
        "energy_ratio_torch": times_less[TEACHER_TORCH]["inference_energy_j"],
        "latency_ratio": times_less[TEACHER]["latency_ms_p50"],
        "inference_energy_j": figures["inference_energy_j"],
        "provenance": figures["provenance"],
    }


def _mean(rows: list[Row]) -> Row:
    """Of the seeds; ratios and points with their spread. What one seed does not know is unknown."""
    numbers = {key for row in rows for key, value in row.items() if not isinstance(value, str)}
    found: Row = {key: _over_seeds(mean, rows, key) for key in sorted(numbers)}
    for key in ("accuracy_delta_points", "energy_ratio"):
        found[f"{key}_of_seeds"] = [row[key] for row in rows]
        found[f"{key}_sd"] = _over_seeds(stdev, rows, key) if len(rows) > 1 else None
    return found | {"provenance": rows[0]["provenance"]}


def _over_seeds(of: Callable[[list[float]], float], rows: list[Row], key: str) -> float | None:
    values = [row.get(key) for row in rows]
    known = [value for value in values if value is not None]
    return of(known) if len(known) == len(values) else None


def _against_peers(rows: Mapping[str, Row]) -> list[Row]:
    """For each peer: the best of ours that is at least as accurate, and how many times less."""
    ours = {name: row for name, row in rows.items() if name.endswith(": chosen")}
    found = []
    for name in (name for name in PEERS if name in rows):
        as_accurate = {n: r for n, r in ours.items() if r["accuracy"] >= rows[name]["accuracy"]}
        best = max(as_accurate, key=lambda n: as_accurate[n]["energy_ratio"] or 0, default=None)
        ratios = [rows[one]["energy_ratio"] for one in (best, name) if one is not None]
        known = len(ratios) == 2 and None not in ratios
        found.append(
            {"peer": name, "ours": best, "times_less": ratios[0] / ratios[1] if known else None}
        )
    return found


def _table(result: Mapping[str, Any]) -> Table:
    table = Table(title=f"{result['data']}: times fewer joules per inference than the teacher")
    for heading in ("candidate", "accuracy", "points", "M MACs", "kB", "p50 ms", "J ratio",
                    "to torch", "making Wh", "of teacher's fit"):  # fmt: skip
        table.add_column(heading, justify="left" if heading == "candidate" else "right")
    for row in result["candidates"]:
        making, fits = row.get("making_energy_kwh"), row.get("making_time_ratio")
        in_onnx, in_torch = (row[f"energy_ratio{against}"] for against in ("", "_torch"))
        table.add_row(
            row["name"], f"{100 * row['accuracy']:.2f}", f"{row['accuracy_delta_points']:+.2f}",
            f"{row['num_macs'] / 1e6:.1f}", f"{row['size_bytes'] / 1e3:.0f}",
            f"{row['latency_ms_p50']:.3f}", _cell(in_onnx, ".2f"), _cell(in_torch, ".2f"),
            _cell(None if making is None else 1e3 * making, ".2f"), _cell(fits, ".0%"),
        )  # fmt: skip
    return table


def _cell(value: float | None, form: str) -> str:
    """Empty where it is unknown."""
    return "" if value is None else format(value, form)


if __name__ == "__main__":
    typer.run(main)
