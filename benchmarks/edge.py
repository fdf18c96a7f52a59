"""Cold start and memory of the bundle: a fresh interpreter to the label of one image, each time.

It runs in an environment that holds numpy and onnxruntime and nothing else. In turns with it runs
an interpreter that imports the two and ends: what no runner can be quicker than. Memory is the
largest resident set (VmHWM), the libraries' pages included. On a machine that does other work the
seconds of processor time say more than those on the clock.
"""

import os
import resource
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
import zipfile
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
import typer
from rich.table import Table

from benchmarks.publish import circumstances, publish
from lowtide.artifacts import read_json, report_path
from lowtide.edge.bundle import NEEDED, write_bundle
from lowtide.edge.description import describe

IMPORTS = "import numpy, onnxruntime"
RUN = "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
MEMORY = "; print(next(one.split()[1] for one in open('/proc/self/status') if 'VmHWM' in one))"
BEFORE = "import sys; sys.path.insert(0, {folder!r}); "  # as the interpreter does for a script

ROWS = (
    ("to the label", "cold_start_s"),
    ("the same, processor time", "cold_start_cpu_s"),
    ("imports alone", "imports_s"),
    ("the same, processor time", "imports_cpu_s"),
)


def bare_environment(folder: Path) -> Path:
    """The interpreter of a new environment with links to numpy and onnxruntime of this one."""
    venv.create(folder, symlinks=True)
    for source in sysconfig.get_path("platlib"), sysconfig.get_path("purelib"):
        for path in Path(source).iterdir():
            if path.name.partition(".")[0] in NEEDED:
                target = folder / Path(source).relative_to(sys.prefix) / path.name
                if not target.exists():
                    target.symlink_to(path)
    return folder / "bin/python"


def unpacked(model: Path, folder: Path) -> Path:
    write_bundle(model, folder / "bundle.zip")
    with zipfile.ZipFile(folder / "bundle.zip") as archive:
        archive.extractall(folder)
    return folder / "bundle"


def run(python: Path, *arguments: str) -> str:
    """Its output; nothing of this environment is in reach."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    done = subprocess.run(
        [str(python), *arguments], env=kept, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def memory_mib(python: Path, bundle: Path, *images: str) -> float:
    """Of one run, as the kernel says at its end."""
    code = BEFORE.format(folder=str(bundle)) + RUN + MEMORY
    return int(run(python, "-c", code, str(bundle / "run.py"), *images).split()[-1]) / 1024


def seconds(python: Path, *arguments: str) -> tuple[float, float]:
    """On the clock, and of processor time."""
    started, before = time.perf_counter(), processor_s()
    run(python, *arguments)
    return time.perf_counter() - started, processor_s() - before


def processor_s() -> float:
    """Of all processes that this one has started and that have ended, the system's share too."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def draw(model: Path, path: Path) -> str:
    """Noise of the size that the model takes."""
    channels, height, width = describe(model)["shape"]
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)
    np.save(path, pixels)
    return str(path)


def measured(model: Path, folder: Path, repeats: int) -> dict[str, object]:
    python, bundle = bare_environment(folder / "environment"), unpacked(model, folder)
    image, script = draw(model, folder / "image.npy"), str(bundle / "run.py")
    run(python, script, image)  # compiles images.py, and fills the page cache
    pairs = [
        (seconds(python, script, image), seconds(python, "-c", IMPORTS)) for _ in range(repeats)
    ]
    starts, floors = zip(*pairs, strict=True)
    return {
        "model_size_bytes": model.stat().st_size,
        "bundle_size_bytes": (folder / "bundle.zip").stat().st_size,
        "cold_start_s": [clock for clock, _ in starts],
        "cold_start_cpu_s": [cpu for _, cpu in starts],
        "imports_s": [clock for clock, _ in floors],
        "imports_cpu_s": [cpu for _, cpu in floors],
        "memory_mib": memory_mib(python, bundle, image),
    }


def main(
    model: Annotated[Path | None, typer.Argument(help="Default: what export has chosen.")] = None,
    repeats: Annotated[int, typer.Option(min=1)] = 20,
    quick: Annotated[bool, typer.Option("--quick", help="Three repeats.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Cold start and memory of `lowtide bundle`'s runner."""
    chosen = model or Path(read_json(report_path("export"))["model_path"])
    repeats = 3 if quick else repeats
    with tempfile.TemporaryDirectory() as folder:
        found = measured(chosen, Path(folder), repeats)
    result = {"model": str(chosen), **found, **circumstances(num_repeats=repeats)}
    table = Table("from the interpreter's start", "median, s", "slowest, s", title=str(chosen))
    for name, key in ROWS:
        table.add_row(name, f"{median(result[key]):.3f}", f"{max(result[key]):.3f}")
    table.add_row("memory, MiB", f"{result['memory_mib']:.0f}", "")
    publish("edge", result, table, as_json)


if __name__ == "__main__":
    typer.run(main)
