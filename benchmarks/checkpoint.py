"""How long a checkpoint of a network of 25 million parameters takes, and going on from it.

Weights and momentum, 200 MB, on the disk of the working directory, fsync included. Going on is what
a fit does before its next step: read, verify by checksum, load into network and optimizer.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Annotated

import torch
import typer
from rich.table import Table
from torch import nn

from benchmarks.publish import circumstances, publish
from lowtide.controller.knobs import Knobs
from lowtide.training.checkpoint import (
    Progress,
    restore_checkpoint,
    save_checkpoint,
    usable_checkpoint,
)

MARK = "benchmark"


def network() -> nn.Module:
    """ResNet-sized: 25.2 million parameters in 3x3 convolutions of 512 channels, and a head."""
    blocks = [
        nn.Sequential(nn.Conv2d(512, 512, 3, bias=False), nn.BatchNorm2d(512)) for _ in range(10)
    ]
    return nn.Sequential(*blocks, nn.Flatten(), nn.Linear(512, 3000))


def trained_once(model: nn.Module) -> torch.optim.SGD:
    """An optimizer with momentum of every parameter."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return optimizer


def seconds(action: Callable[[], object], num_repeats: int) -> list[float]:
    taken = []
    for _ in range(num_repeats):
        started = time.perf_counter()
        action()
        taken.append(time.perf_counter() - started)
    return taken


def main(
    repeats: Annotated[int, typer.Option(min=1)] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Seconds to write a checkpoint, and to go on from one."""
    model = network()
    optimizer = trained_once(model)
    progress = Progress("run", MARK, Knobs(128, "fp32", end=10.0))
    with tempfile.TemporaryDirectory(dir=".") as folder:
        path = Path(folder) / "train.safetensors"

        def resume() -> None:
            assert usable_checkpoint(path, MARK) is not None
            restore_checkpoint(path, model, optimizer)

        written = seconds(lambda: save_checkpoint(path, progress, model, optimizer), repeats)
        size = path.stat().st_size
        resumed = seconds(resume, repeats)
    result = {
        "num_parameters": sum(parameter.numel() for parameter in model.parameters()),
        "size_bytes": size,
        "write_s": written,
        "resume_s": resumed,
        **circumstances(num_repeats=repeats),
    }
    table = Table("of a checkpoint", "median, s", "slowest, s", title=f"{size / 1e6:.0f} MB")
    for name, taken in (("writing", written), ("going on from it", resumed)):
        table.add_row(name, f"{median(taken):.2f}", f"{max(taken):.2f}")
    publish("checkpoint", result, table, as_json)


if __name__ == "__main__":
    typer.run(main)
