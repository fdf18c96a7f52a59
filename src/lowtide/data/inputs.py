"""Fingerprints of what a pipeline is fed from outside: the images, and networks of one's own.

DVC knows files that it tracks. Images and model factories are named in params.yaml, so dvc.yaml
begins with a stage that writes their fingerprints, and the stages depend on those.
"""

import hashlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from lowtide import artifacts
from lowtide.params import DataParams, Params


def write_inputs(params: Params, folder: Path = artifacts.INPUTS) -> dict[str, str]:
    """Write `data`, `teacher`, `student` and `champion` into the folder; a file changes if its
    input has.

    A student that is not named is the teacher.
    """
    found = {
        "data": _data(params.data),
        "teacher": _factory(params.model.teacher),
        "student": _factory(params.model.student or params.model.teacher),
        "champion": _champion(),
    }
    for name, text in found.items():
        artifacts.write_text(folder / name, text + "\n")
    return found


def _data(data: DataParams) -> str:
    """Of names and contents. What is missing counts as such: `prepare` says what to do."""
    if data.source == "digits":
        return "digits"
    roots = [path for path in (data.path, data.test_path) if path is not None]
    return " ".join(_digest(sorted(_files(root)), root) for root in roots) or "none"


def _factory(name: str) -> str:
    """A name of the family stands for itself; `module:function` for the sources around it."""
    module, colon, _ = name.partition(":")
    if not colon:
        return name
    digest = sources_digest(module)
    return f"{name} missing" if digest is None else f"{name} {digest}"


def sources_digest(module: str) -> str | None:
    """Of the package or file at the top of a module's name; None where there is none."""
    if os.getcwd() not in sys.path:  # noqa: PTH109 -- sys.path holds strings
        sys.path.insert(0, os.getcwd())  # noqa: PTH109
    try:
        spec = importlib.util.find_spec(module.partition(".")[0])
    except (ImportError, ValueError):
        spec = None
    if spec is None or spec.origin is None:
        return None
    origin = Path(spec.origin)
    root = origin.parent if spec.submodule_search_locations else origin
    return _digest(sorted(path for path in _files(root) if path.suffix == ".py"), root)


def _champion() -> str:
    """The file that a candidate is held against, as a task has brought it."""
    if not artifacts.CHAMPION.exists():
        return "none"
    champion = artifacts.read_json(artifacts.CHAMPION)
    if champion["version"] is None:
        return "none"
    return champion["sha256"] or f"version {champion['version']}"


def _files(root: Path) -> Iterator[Path]:
    return (path for path in root.rglob("*") if path.is_file()) if root.is_dir() else iter([root])


def _digest(files: list[Path], root: Path) -> str:
    digest = hashlib.sha256()
    for path in files:
        digest.update(str(path.relative_to(root)).encode() + b"\0")
        try:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError:
            digest.update(b"missing")
    return digest.hexdigest()
