"""What serving costs over the bare session: latency, throughput, and failures while models change.

The server is `lowtide serve` in a process of its own, following a registry; the load comes from
this process over loopback, so that both share the cores: throughput is a lower bound. Rounds of
the bare session and of the server take turns. Images go as bytes (`binary_tensor_data`).
"""

import statistics
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, perf_counter, sleep
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table

from benchmarks.publish import circumstances, publish
from benchmarks.served import Client, Registry, running_server, write_models
from lowtide.runtime.onnx_model import OnnxModel

BATCH = 64
CLIENTS = 4


@dataclass(frozen=True)
class Load:
    """`rounds` of `requests` single images, and of `seconds` of batches; then swaps meanwhile."""

    rounds: int
    requests: int
    seconds: float
    swap_seconds: float
    swaps: int


FULL = Load(rounds=15, requests=300, seconds=5, swap_seconds=600, swaps=20)
QUICK = Load(rounds=5, requests=100, seconds=2, swap_seconds=30, swaps=5)


def main(
    quick: Annotated[bool, typer.Option("--quick")] = False,
    as_json: Annotated[bool, typer.Option("--json")] = False,
    threads: Annotated[int, typer.Option(min=1, help="Of the session, both times.")] = 2,
    rounds: Annotated[int | None, typer.Option(min=1)] = None,
    swap_seconds: Annotated[float | None, typer.Option(min=1)] = None,
    swaps: Annotated[int | None, typer.Option(min=0)] = None,
) -> None:
    """Milliseconds that the server adds, its share of bare throughput, and failed requests."""
    usual = QUICK if quick else FULL
    load = Load(
        rounds or usual.rounds, usual.requests, usual.seconds,
        swap_seconds or usual.swap_seconds, usual.swaps if swaps is None else swaps,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        paths = write_models(Path(folder))
        registry = Registry(Path(folder), paths)
        with running_server(Path(folder), registry.uri, threads) as port:
            bare = OnnxModel(paths[0], threads)
            found = {
                **latency(bare, port, load),
                **throughput(bare, port, load),
                **changes(registry, _images(bare, 1), port, load),
            }
    result = {**found, "num_threads": threads, "batch_size": BATCH, **circumstances(load.rounds)}
    publish("serving", result, _table(result), as_json)


def latency(bare: OnnxModel, port: int, load: Load) -> dict[str, float]:
    """Medians over rounds of each round's median, of one image at a time."""
    image = _images(bare, 1)
    client = Client(port, image)
    medians = [
        (_p50(lambda: bare.run(image), load.requests), _p50(client.infer, load.requests))
        for _ in range(load.rounds + 1)
    ][1:]  # the first one warms up
    return {
        "bare_p50_ms": statistics.median(bare_ms for bare_ms, _ in medians),
        "served_p50_ms": statistics.median(served_ms for _, served_ms in medians),
        "added_p50_ms": statistics.median(served - alone for alone, served in medians),
    }


def throughput(bare: OnnxModel, port: int, load: Load) -> dict[str, float]:
    """Images per second of full batches; the fraction is the median of the rounds' ratios."""
    batch = _images(bare, BATCH)
    pairs = [
        (_bare_per_s(bare, batch, load.seconds), _served_per_s(port, batch, load.seconds))
        for _ in range(load.rounds)
    ]
    return {
        "bare_images_per_s": statistics.median(alone for alone, _ in pairs),
        "served_images_per_s": statistics.median(served for _, served in pairs),
        "throughput_fraction": statistics.median(served / alone for alone, served in pairs),
    }


def changes(registry: Registry, image: np.ndarray, port: int, load: Load) -> dict[str, int]:
    """Single images from all clients while the alias goes to and fro."""
    before, told = registry.num_swaps(port), Counter[int]()
    asking = threading.Thread(target=_ask_all, args=(port, image, load.swap_seconds, told))
    asking.start()
    for swap in range(load.swaps):
        registry.promote(2 - swap % 2)
        wanted = before + swap + 1
        while registry.num_swaps(port) < wanted and asking.is_alive():
            sleep(0.1)
        sleep(0.8 * load.swap_seconds / (load.swaps + 1))
    asking.join()
    return {
        "num_requests": told.total(),
        "failed_requests": told.total() - told[200],
        "num_swaps": registry.num_swaps(port) - before,
    }


def _images(bare: OnnxModel, num: int) -> np.ndarray:
    shape = (num, *(int(side) for side in bare.input_shape[1:]))
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def _p50(call: Callable[[], object], repeats: int) -> float:
    """Milliseconds."""
    times = []
    for _ in range(repeats):
        began = perf_counter()
        call()
        times.append(perf_counter() - began)
    return 1000 * statistics.median(times)


def _bare_per_s(bare: OnnxModel, batch: np.ndarray, seconds: float) -> float:
    began, count = perf_counter(), 0
    while perf_counter() - began < seconds:
        bare.run(batch)
        count += len(batch)
    return count / (perf_counter() - began)


def _served_per_s(port: int, batch: np.ndarray, seconds: float) -> float:
    began, told = perf_counter(), Counter[int]()
    _ask_all(port, batch, seconds, told)
    return told[200] * len(batch) / (perf_counter() - began)


def _ask_all(port: int, images: np.ndarray, seconds: float, told: Counter[int]) -> None:
    """From several connections at once, each as fast as it is answered; counts by status."""
    counts: list[Counter[int]] = [Counter() for _ in range(CLIENTS)]
    threads = [
        threading.Thread(target=_ask, args=(port, images, seconds, count)) for count in counts
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for count in counts:
        told.update(count)


def _ask(port: int, images: np.ndarray, seconds: float, told: Counter[int]) -> None:
    client, end = Client(port, images), monotonic() + seconds
    while monotonic() < end:
        told[client.infer()] += 1


def _table(result: dict[str, Any]) -> Table:
    table = Table("figure", "value", "wanted")
    table.add_row("added at batch 1, p50", f"{result['added_p50_ms']:.2f} ms", "under 2 ms")
    table.add_row("of bare throughput", f"{result['throughput_fraction']:.0%}", "70 % or more")
    table.add_row(
        "failed requests", f"{result['failed_requests']} of {result['num_requests']}", "0"
    )
    table.add_row("swaps of the champion", str(result["num_swaps"]), "20")
    return table


if __name__ == "__main__":
    typer.run(main)
