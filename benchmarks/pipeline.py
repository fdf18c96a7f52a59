"""How long the embedded default takes: the first run in a fresh clone, and a second one after it.

Set-up (packages, Prefect's database) is not counted. Memory is the sum of the resident sets of
the whole process tree, sampled five times a second, so pages that processes share count twice.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.publish import circumstances, publish

ROOT = Path(__file__).parent.parent


class PeakMemory:
    """The largest sum of resident sets of a process and its descendants, in MiB."""

    def __init__(self, pid: int) -> None:
        self.mib = 0.0
        self._process, self._stop = psutil.Process(pid), threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.2):
            self.mib = max(self.mib, self._resident() / 2**20)

    def _resident(self) -> int:
        total = 0
        try:
            for process in [self._process, *self._process.children(recursive=True)]:
                try:
                    total += process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
        except psutil.NoSuchProcess:
            return total
        return total


@contextmanager
def fresh_clone() -> Iterator[tuple[Path, dict[str, str]]]:
    """A clone of HEAD, with an environment that imports lowtide from it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "lowtide"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
        environment = {
            **os.environ,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": str(folder / "src"),
            "PREFECT_HOME": str(folder / ".prefect"),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
        }
        environment.pop("MLFLOW_TRACKING_URI", None)
        prepare = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"]
        subprocess.run(prepare, env=environment, check=True, capture_output=True)
        yield folder, environment


def timed_run(folder: Path, environment: dict[str, str]) -> tuple[float, float]:
    """(seconds, MiB) of one run of the flow."""
    started = time.perf_counter()
    with (folder / "run.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.pipeline"],
            cwd=folder, env=environment, stdout=log, stderr=log,
        )  # fmt: skip
        memory = PeakMemory(process.pid)
        code = process.wait()
    seconds = time.perf_counter() - started
    memory.close()
    if code != 0:
        raise SystemExit(f"the pipeline failed:\n{(folder / 'run.log').read_text()}")
    return seconds, memory.mib


def measure() -> dict[str, float]:
    with fresh_clone() as (folder, environment):
        first_s, first_mib = timed_run(folder, environment)
        second_s, second_mib = timed_run(folder, environment)
    return {
        "first_run_s": first_s,
        "second_run_s": second_s,
        "peak_memory_mib": max(first_mib, second_mib),
    }


def main(
    quick: Annotated[bool, typer.Option(help="One repeat instead of three.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Time the pipeline on the embedded digits, in fresh clones of HEAD."""
    num_repeats = 1 if quick else 3
    console = Console(stderr=True)
    runs = [measure() for _ in track(range(num_repeats), "pipeline", console=console)]
    table = Table("figure", "median", "lowest", "highest", title=f"digits, n = {num_repeats}")
    result: dict[str, Any] = {"runs": runs, **circumstances(num_repeats)}
    for figure in runs[0]:
        values = [run[figure] for run in runs]
        result[figure] = statistics.median(values)
        shown = (result[figure], min(values), max(values))
        table.add_row(figure, *(f"{value:.1f}" for value in shown))
    publish("pipeline", result, table, as_json)


if __name__ == "__main__":
    typer.run(main)
