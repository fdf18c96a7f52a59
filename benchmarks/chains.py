"""Pipeline folders of the compression benchmark: a teacher a seed, and what recipes make of it.

A folder is a pipeline like any other, run stage by stage in processes of their own. What is done is
not done again, so that a benchmark of hours can be interrupted and gone on with.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lowtide.artifacts import write_text
from lowtide.energy.totals import known_sum

ROOT = Path(__file__).parent.parent
BEFORE, CHAIN = ("prepare", "train"), ("distill", "prune", "quantize", "export")
Patch = Mapping[str, Any]  # what changes of params.yaml: sections in part, the rest whole


@dataclass(frozen=True)
class Pipeline:
    folder: Path

    @property
    def artifacts(self) -> Path:
        return self.folder / "artifacts"

    def report(self, stage: str) -> dict[str, Any]:
        text = (self.folder / "reports" / f"{stage}.json").read_text(encoding="utf-8")
        report: dict[str, Any] = json.loads(text)
        return report

    def used(self, stages: tuple[str, ...], key: str) -> float | None:
        """Sum of `energy_kwh` or `emissions_g` over stages; None where one is unknown."""
        total: float | None = 0.0
        for stage in stages:
            total = known_sum(total, self.report(stage)[key])
        return total

    def run(self, stages: tuple[str, ...]) -> None:
        for stage in stages:
            if not (self.folder / "reports" / f"{stage}.json").exists():
                self._run(stage)

    def _run(self, stage: str) -> None:
        path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
        command = [sys.executable, "-m", "lowtide", "stage", stage]
        done = subprocess.run(
            command, cwd=self.folder, env={**os.environ, "PYTHONPATH": path}, check=False
        )
        if done.returncode:
            raise SystemExit(f"stage {stage} ended with {done.returncode} in {self.folder}")


def teacher(base: Path, patch: Patch, folder: Path) -> Pipeline:
    """Data and teacher of the params file `base`, with `patch` on top."""
    _write_params(base, patch, folder)
    pipeline = Pipeline(folder)
    pipeline.run(BEFORE)
    return pipeline


def chain(taught_by: Pipeline, patch: Patch, folder: Path) -> Pipeline:
    """Distilled, pruned, quantized and exported from a teacher that another folder has."""
    _write_params(taught_by.folder / "params.yaml", patch, folder)
    for name in ("artifacts/data", "artifacts/teacher.safetensors", "reports/prepare.json",
                 "reports/train.json"):  # fmt: skip
        link = folder / name
        link.parent.mkdir(exist_ok=True)
        if not link.exists():
            link.symlink_to((taught_by.folder / name).resolve())
    pipeline = Pipeline(folder)
    pipeline.run(CHAIN)
    return pipeline


def _write_params(base: Path, patch: Patch, folder: Path) -> None:
    """Refuses a folder that holds the results of other params."""
    params = yaml.safe_load(base.read_text(encoding="utf-8"))
    for section, changes in patch.items():
        params[section] = {**params[section], **changes} if isinstance(changes, dict) else changes
    text, path = yaml.safe_dump(params), folder / "params.yaml"
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise SystemExit(f"{path} has other params than this benchmark: give it another --keep")
    write_text(path, text)
