"""A stage in a process that is killed: it notes what it reads of its energy, and may wait."""

import json
import multiprocessing
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from lowtide.energy.sources import EnergySource, Reading

READINGS = "readings.jsonl"
BESTS = "bests"  # of each epoch that was the best so far
WAITS_S = 1.5
FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(["lowtide.stages.run", "lowtide.stages.train", "torch_pruning"])


@dataclass(frozen=True)
class Settings:
    """save_every_s: between two checkpoints within an epoch. waits: it is paused once, as soon as
    it plans. keeps_bests: in the folder `BESTS`. step_j: a step's joules, where they are not read
    from the machine."""

    save_every_s: float = 600.0
    waits: bool = False
    keeps_bests: bool = False
    step_j: float | None = None


class Noted:
    """Another source, each of whose readings is on disk before anyone else has it."""

    def __init__(self, source: EnergySource, file: int) -> None:
        self._source, self._file = source, file

    def read(self) -> list[Reading]:
        readings = self._source.read()
        told = [[os.getpid(), one.component, one.energy_j] for one in readings]
        os.write(self._file, "".join(f"{json.dumps(line)}\n" for line in told).encode())
        return readings

    def close(self) -> None:
        self._source.close()


class Steps:
    """A source that counts the steps of this process: the same on a busy machine."""

    def __init__(self, step_j: float) -> None:
        from lowtide.training import fit

        self._step_j, self._num_steps, self._take = step_j, 0, fit.take_step
        fit.take_step = self._counted

    def read(self) -> list[Reading]:
        return [Reading("cpu", self._step_j * self._num_steps, "steps", "measured")]

    def close(self) -> None: ...

    def _counted(self, *arguments: Any) -> float:
        self._num_steps += 1
        return self._take(*arguments)


def run_stage_in(folder: Path, name: str, settings: Settings) -> None:
    """In a process of its own, forked from one that has the libraries loaded."""
    import torch

    from lowtide.stages import run

    os.chdir(folder)
    torch.set_num_threads(1)
    log = os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    if name == "train":
        _note_readings(run, settings.step_j)
        _apply(settings)
    run.run_stage(name)


def noted_j(folder: Path) -> dict[tuple[int, str], list[float]]:
    """What each process read, by its id and component."""
    found: dict[tuple[int, str], list[float]] = {}
    for line in (folder / READINGS).read_text().splitlines():
        process, component, energy_j = json.loads(line)
        found.setdefault((process, component), []).append(energy_j)
    return found


def best_weights(folder: Path, num_epochs: int) -> dict[str, Any]:
    """Of the best of the first `num_epochs`, as they were when it was over."""
    from safetensors.torch import load_file

    epochs = [int(path.stem) for path in (folder / BESTS).iterdir()]
    tensors = load_file(
        folder / BESTS / f"{max(one for one in epochs if one <= num_epochs)}.safetensors"
    )
    return {
        name.removeprefix("model."): tensor
        for name, tensor in tensors.items()
        if name.startswith("model.")
    }


def _note_readings(run: Any, step_j: float | None) -> None:
    open_sources = run.open_sources if step_j is None else lambda: [Steps(step_j)]

    def noted() -> Sequence[EnergySource]:
        file = os.open(READINGS, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        return [Noted(source, file) for source in open_sources()]

    run.open_sources = noted


def _apply(settings: Settings) -> None:
    from lowtide.planning.horizon import Decision, Horizon
    from lowtide.training import work

    work.SAVE_EVERY_S = settings.save_every_s
    if settings.keeps_bests:
        _keep_bests(work.Fit)
    if not settings.waits:
        return
    ends: list[datetime] = []

    def decide(_: Horizon, now: datetime, *__: object, **___: object) -> Decision:
        if not ends:
            ends.append(now + timedelta(seconds=WAITS_S))
        if now < ends[0]:
            return Decision(0.0, ends[0], "waits for the test", None)
        return Decision(1.0, now + timedelta(hours=1), "runs for the test", None)

    Horizon.decide = decide  # type: ignore[method-assign]


def _keep_bests(fit: Any) -> None:
    save = fit.save

    def save_and_keep(work: Any, path: Path | None = None) -> None:
        save(work, path)
        if path is not None and path == work.best:
            Path(BESTS).mkdir(exist_ok=True)
            shutil.copy(path, Path(BESTS) / f"{work.progress.epoch}.safetensors")

    fit.save = save_and_keep


def started(folder: Path, stage: str, settings: Settings) -> Any:
    process = FORKED.Process(target=run_stage_in, args=(folder, stage, settings))
    process.start()
    return process
