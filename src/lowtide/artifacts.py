"""Where files live, and how they are written: whole or not at all."""

import csv
import hashlib
import io
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lowtide.errors import ArtifactError

STAGES = ("prepare", "train", "distill", "prune", "quantize", "export", "evaluate", "judge")
TRAINING = ("train", "distill", "prune", "quantize")  # those that make the model

ARTIFACTS = Path("artifacts")
INPUTS = ARTIFACTS / "inputs"
DATA = ARTIFACTS / "data"
REPORTS = Path("reports")
STATE = Path(".lowtide")  # what survives between processes and is nobody's output
LEDGER = STATE / "ledger.db"
CHECKPOINTS = STATE / "checkpoints"

TEACHER = ARTIFACTS / "teacher.safetensors"
STUDENT = ARTIFACTS / "student.safetensors"
PRUNED = ARTIFACTS / "pruned.safetensors"
PRUNED_ONNX = ARTIFACTS / "pruned.onnx"
QUANTIZED = ARTIFACTS / "quantized.onnx"
HALF = ARTIFACTS / "half.onnx"
TEACHER_ONNX = ARTIFACTS / "teacher.fp32.onnx"
STUDENT_ONNX = ARTIFACTS / "student.fp32.onnx"
MODEL_FP32 = ARTIFACTS / "model.fp32.onnx"
MODEL_INT8 = ARTIFACTS / "model.int8.onnx"
MODEL_HALF = ARTIFACTS / "model.half.onnx"  # published where `quantize` has chosen it
ANSWERS = ARTIFACTS / "answers.npz"  # of each test image, by `evaluate`
VERDICT = REPORTS / "verdict.json"
DEFERRED = STATE / "deferred.json"  # there while a stage waits for a planned instant
CHAMPION = STATE / "champion.json"  # which one a task has brought: version and sha256
CHAMPION_ONNX = STATE / "champion.onnx"
FAILURE = STATE / "failure.txt"  # why the last stage failed, for whoever started it


def report_path(stage: str) -> Path:
    return REPORTS / f"{stage}.json"


def _maker(path: Path) -> str:
    if path.parent == DATA:
        return "`lowtide stage prepare`"
    if path in [report_path(stage) for stage in STAGES]:
        return f"`lowtide stage {path.stem}`"
    return "the stage that writes it"


def make_folder(path: Path) -> Path:
    """With the folders above it; ArtifactError where that cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArtifactError(f"cannot make {path}: {error.strerror or error}") from error
    return path


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; renamed onto it, fsynced, if the body succeeds."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise ArtifactError(f"cannot write {path}: {error.strerror or error}") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise ArtifactError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text(path: Path, text: str) -> None:
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """CSV with the keys of the first row as header; None is an empty field."""
    text = io.StringIO()
    content = list(rows)
    writer = csv.DictWriter(text, list(content[0]) if content else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(content)
    write_text(path, text.getvalue())


def read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(
            f"{path} is missing: run {_maker(path)}, or everything with `dvc repro`"
        ) from None
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path} cannot be read ({error}): run `dvc repro --force`") from None
    if not isinstance(content, dict):
        raise ArtifactError(f"{path} holds {type(content).__name__}, expected a JSON object")
    return content
