"""Where a benchmark ran, and how its figures are written down."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("torch", "onnxruntime", "prefect", "mlflow", "dvc", "codecarbon", "numpy", "scipy")


def circumstances(num_repeats: int) -> dict[str, Any]:
    """Host, versions, commit: what a figure is worth nothing without."""
    return {
        "host": {
            "processor": _processor(),
            "num_cpus": os.cpu_count(),
            "platform": platform.platform(),
        },
        "versions": {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in PACKAGES},
        },
        "commit": _git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"),
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "num_repeats": num_repeats,
    }


def publish(name: str, result: Mapping[str, Any], table: Table, as_json: bool) -> None:
    """Print the table, or the JSON alone; write the JSON in any case."""
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(result, indent=2, allow_nan=False)
    (RESULTS / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    if as_json:
        print(text)
    else:
        Console().print(table)
        print(f"wrote {RESULTS / f'{name}.json'}", file=sys.stderr)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _git(*arguments: str) -> str | None:
    done = subprocess.run(
        ["git", *arguments], cwd=RESULTS.parent, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or None
