"""A folder for any static web server: the page, the runtime, a model and what is said of it."""

import hashlib
import json
from pathlib import Path
from typing import Any

from lowtide.artifacts import atomic, write_text
from lowtide.edge.description import describe
from lowtide.errors import ArtifactError

PAGE = ("camera.js", "classifier.js", "energy.js", "index.html", "page.css", "page.js")
WORKER, KEPT = "sw.js", "files.js"
RUNTIME = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
DIST = Path("node_modules/onnxruntime-web/dist")


def write_page(model: Path, source: Path, folder: Path) -> dict[str, Any]:
    """Write the folder; `source` holds the page's sources and what npm has installed beside them.

    Raises:
        ArtifactError: the page or its runtime is not there, or the model cannot be opened.
        ModelError: the model was not exported by lowtide.
    """
    about = describe(model)
    files = _read(source) | {"model.onnx": model.read_bytes()}
    about["page_bytes"] = sum(len(content) for content in files.values())
    files["model.json"] = (json.dumps(about, indent=2, allow_nan=False) + "\n").encode()
    for name, content in files.items():
        with atomic(folder / name) as temporary:
            temporary.write_bytes(content)
    write_text(folder / KEPT, _kept(files))
    return {"path": str(folder), "size_bytes": about["page_bytes"], "files": sorted([*files, KEPT])}


def _read(source: Path) -> dict[str, bytes]:
    if not (source / "index.html").exists():
        raise ArtifactError(f"there is no page in {source}: name its sources with --page")
    if not (source / DIST / RUNTIME[0]).exists():
        raise ArtifactError(f"{source / DIST} is missing: run `npm ci --prefix {source}`")
    paths = [source / name for name in (*PAGE, WORKER)] + [source / DIST / name for name in RUNTIME]
    return {path.name: path.read_bytes() for path in paths}


def _kept(files: dict[str, bytes]) -> str:
    """What the service worker keeps; another version of any file is another version of all."""
    version = hashlib.sha256()
    for name, content in sorted(files.items()):
        version.update(name.encode() + hashlib.sha256(content).digest())
    names = ["./", *sorted(files.keys() - {WORKER})]
    return (
        f"self.VERSION = {json.dumps(version.hexdigest()[:16])};\n"
        f"self.FILES = {json.dumps(names)};\n"
    )
