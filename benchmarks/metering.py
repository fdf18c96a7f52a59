"""What metering costs: a training loop with the meter on and off, in interleaved pairs.

Both halves of a pair take the same number of steps, one right after the other; which comes first
alternates. The meter is the one of a stage: all sources there are, a sample each second, a trace
for the intensity, a ledger on disk. Opening the sources happens once a process and is timed apart.
Memory is the peak resident set of processes of their own, with the meter and without; what each
part of the meter adds is told in the order of loading, so a library that two parts need counts to
the first.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import torch
import typer
from torch import Tensor, nn

from lowtide.models.factory import ModelSpec, build

if TYPE_CHECKING:
    from lowtide.energy.meter import EnergyMeter

ROOT = Path(__file__).parent.parent
NUM_MEMORY_PAIRS = 5
BATCH_SIZE = 64
IN_A_PROCESS = "from benchmarks.metering import print_memory; print_memory({}, {})"


class Training:
    """tidenet-s on random images of 32x32 pixels, SGD with momentum."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self._images = torch.randint(0, 256, (BATCH_SIZE, 3, 32, 32), dtype=torch.uint8)
        self._labels: Tensor = torch.randint(0, 10, (BATCH_SIZE,))
        self._model = build(ModelSpec("tidenet-s", 3, (32, 32), 10, (127.5,) * 3, (64.0,) * 3))
        self._optimizer = torch.optim.SGD(self._model.parameters(), lr=1e-3, momentum=0.9)

    def take(self, num_steps: int) -> None:
        for _ in range(num_steps):
            loss = nn.functional.cross_entropy(self._model(self._images), self._labels)
            self._optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
            loss.item()

    def steps_within(self, seconds: float) -> int:
        """How many this machine takes, once warm."""
        self.take(5)
        num_steps, started = 0, time.perf_counter()
        while time.perf_counter() - started < min(seconds, 5.0):
            self.take(1)
            num_steps += 1
        return max(round(num_steps * seconds / (time.perf_counter() - started)), 1)


@dataclass(frozen=True)
class Cost:
    """Seconds of one half of a pair. `cpu_s` is of all threads, `sampling_s` the CPU time of the
    meter's: it tells the overhead where other processes disturb the clock."""

    wall_s: float
    cpu_s: float
    sampling_s: float


@contextmanager
def opened_meter(note: Callable[[str], None]) -> Iterator["EnergyMeter"]:
    """Imported here, so that a process without the meter is one without its modules."""
    from lowtide.clock import ReplayClock
    from lowtide.energy.ledger import Ledger
    from lowtide.energy.meter import EnergyMeter
    from lowtide.energy.sources import open_sources

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ledger = stack.enter_context(Ledger(folder / "ledger.db"))
        note("meter and ledger")
        sources = open_sources()
        for source in sources:
            stack.callback(source.close)
            source.read()
        note("energy sources")
        from lowtide.carbon.trace import TraceSource

        trace = TraceSource(_trace_in(folder), "Z")
        note("intensity from a trace")
        clock = ReplayClock(datetime(2022, 1, 1, tzinfo=UTC), 1.0)
        yield EnergyMeter(sources, trace, clock, ledger, pue=1.2)


def _trace_in(folder: Path) -> Path:
    """A day of hours."""
    path = folder / "trace.csv"
    rows = (f"2022-01-01T{hour:02}:00:00Z,{300 + 5 * hour}" for hour in range(24))
    path.write_text("\n".join(["timestamp_utc,gco2_per_kwh", *rows]) + "\n", encoding="utf-8")
    return path


def cost(training: Training, num_steps: int, meter: "EnergyMeter | None") -> Cost:
    """A window is opened and closed within the time that counts."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    with nullcontext() if meter is None else meter.window(f"run-{wall_s}", "train"):
        training.take(num_steps)
        sampling_s = _sampling_s()
    return Cost(time.perf_counter() - wall_s, time.process_time() - cpu_s, sampling_s)


def _sampling_s() -> float:
    meters = [thread for thread in threading.enumerate() if thread.name == "energy-meter"]
    clocks = [time.pthread_getcpuclockid(thread.ident) for thread in meters if thread.ident]
    return sum(time.clock_gettime(clock) for clock in clocks)


def print_memory(metered: bool, seconds: float) -> None:
    """MiB of this process: its peak after some seconds of training, and what parts have added."""
    training = Training()
    num_steps = training.steps_within(seconds)
    before, parts = _status_mib("VmRSS"), {}

    def note(part: str) -> None:
        nonlocal before
        now = _status_mib("VmRSS")
        parts[part], before = now - before, now

    with opened_meter(note) if metered else nullcontext() as meter:
        cost(training, num_steps, meter)
    note("training on")
    print(json.dumps({"peak": _status_mib("VmHWM"), "parts": parts}))


def _status_mib(key: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    (line,) = [line for line in lines if line.startswith(f"{key}:")]
    return int(line.split()[1]) / 1024


def timed_pairs(num_pairs: int, seconds: float) -> tuple[list[tuple[Cost, Cost]], dict[str, Any]]:
    """(with the meter, without) of each pair; and what is said about the meter."""
    training = Training()
    num_steps = training.steps_within(seconds)
    started, opened_s = time.perf_counter(), {}

    def note(part: str) -> None:
        opened_s[part] = time.perf_counter() - started

    pairs: list[tuple[Cost, Cost]] = []
    with opened_meter(note) as meter:
        about = {
            "open_s": opened_s["energy sources"] - opened_s["meter and ledger"],
            "sources": sorted({r.source for source in meter.sources for r in source.read()}),
            "num_steps": num_steps,
        }
        for number in range(num_pairs):
            halves = (meter, None) if number % 2 == 0 else (None, meter)
            found = {half is None: cost(training, num_steps, half) for half in halves}
            pairs.append((found[False], found[True]))
    return pairs, about


def memory_mib(seconds: float) -> dict[str, Any]:
    """Peaks with the meter and without, a process each, in turn; medians of what parts add."""
    found: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
    for number in range(2 * NUM_MEMORY_PAIRS):
        metered = number % 2 == 0
        program = IN_A_PROCESS.format(metered, seconds)
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
        )
        found[metered].append(json.loads(done.stdout.splitlines()[-1]))
    peaks = {metered: [run["peak"] for run in runs] for metered, runs in found.items()}
    parts = found[True][0]["parts"]
    return {
        "with": peaks[True],
        "without": peaks[False],
        "extra": statistics.median(peaks[True]) - statistics.median(peaks[False]),
        "parts": {
            part: statistics.median(run["parts"][part] for run in found[True]) for part in parts
        },
    }


def interval(ratios: list[float]) -> dict[str, float]:
    """Median of the paired ratios less one, and its bootstrap 95 % interval (BCa)."""
    import numpy as np
    from scipy.stats import bootstrap

    found = bootstrap(
        (np.array(ratios),), np.median, n_resamples=9999, rng=np.random.default_rng(0)
    ).confidence_interval
    return {
        "fraction": statistics.median(ratios) - 1,
        "low": float(found.low) - 1,
        "high": float(found.high) - 1,
    }


def main(
    quick: Annotated[bool, typer.Option(help="10 short pairs instead of 20 longer ones.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Time and memory of training with the meter on, over the same with it off."""
    from rich.table import Table

    from benchmarks.publish import circumstances, publish

    num_pairs, seconds = (10, 4.0) if quick else (20, 15.0)
    memory = memory_mib(3.0)
    pairs, about = timed_pairs(num_pairs, seconds)
    wall = interval([on.wall_s / off.wall_s for on, off in pairs])
    cpu = interval([on.cpu_s / off.cpu_s for on, off in pairs])
    sampling = statistics.median(on.sampling_s / on.wall_s for on, _ in pairs)
    table = Table("figure", "median", "95 % interval", title=f"n = {num_pairs} pairs")
    for name, found in (("time", wall), ("CPU time", cpu)):
        bounds = f"{found['low']:+.2%} to {found['high']:+.2%}"
        table.add_row(name, f"{found['fraction']:+.2%}", bounds)
    table.add_row("CPU time of sampling / time", f"{sampling:.3%}", "")
    table.add_row("opening the energy sources, once", f"{about['open_s']:.2f} s", "")
    table.add_row(
        f"peak memory, {NUM_MEMORY_PAIRS} processes each", f"{memory['extra']:+.1f} MiB", ""
    )
    for part, mib in memory["parts"].items():
        table.add_row(f"  {part}", f"{mib:+.1f} MiB", "")
    result = {
        **{f"overhead_{key}": value for key, value in wall.items()},
        **{f"cpu_overhead_{key}": value for key, value in cpu.items()},
        "sampling_cpu_fraction": sampling,
        "num_pairs": num_pairs,
        "peak_memory_mib": memory,
        **about,
        "pairs": [{"on": asdict(on), "off": asdict(off)} for on, off in pairs],
        **circumstances(num_pairs),
    }
    publish("metering", result, table, as_json)


if __name__ == "__main__":
    typer.run(main)
