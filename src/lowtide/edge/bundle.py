"""A model as an archive for a device that has onnxruntime and numpy alone."""

import hashlib
import json
import zipfile
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from string import Template
from typing import Any

from lowtide.artifacts import atomic, file_sha256
from lowtide.edge.description import describe

DEVICE = Path(__file__).with_name("device")
SUMS = "SHA256SUMS"
NEEDED = ("numpy", "onnxruntime")
LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the first instant that a zip can tell


def write_bundle(model: Path, target: Path) -> dict[str, Any]:
    """Write the archive, the same bytes for the same model, reports and versions.

    Raises:
        ArtifactError: the model cannot be opened, or the archive cannot be written.
        ModelError: the model was not exported by lowtide.
    """
    about = describe(model)
    members = bundle_members(model, about)
    with atomic(target) as temporary:
        _write_zip(temporary, target.stem, members)
    return {
        "path": str(target),
        "size_bytes": target.stat().st_size,
        "sha256": file_sha256(target),
        "files": list(members),
        "labels": about["labels"],
    }


def bundle_members(model: Path, about: Mapping[str, Any]) -> dict[str, bytes]:
    """The files by name; the checksums are of all others."""
    texts = {
        "README.md": _readme(about),
        "labels.txt": "".join(f"{label}\n" for label in about["labels"]),
        "model.json": json.dumps(about, indent=2, allow_nan=False) + "\n",
        "requirements.txt": "".join(_requirement(name) for name in NEEDED),
        **{name: (DEVICE / name).read_text(encoding="utf-8") for name in ("images.py", "run.py")},
    }
    members = {name: text.encode() for name, text in texts.items()}
    members["model.onnx"] = model.read_bytes()
    return members | {SUMS: checksums(members)}


def _requirement(name: str) -> str:
    """Of the module: the package may be called otherwise here, onnxruntime-gpu for instance."""
    return f"{name}=={import_module(name).__version__}\n"


def checksums(members: Mapping[str, bytes]) -> bytes:
    """As `sha256sum --check` reads them."""
    lines = [f"{hashlib.sha256(members[name]).hexdigest()}  {name}\n" for name in sorted(members)]
    return "".join(lines).encode()


def _readme(about: Mapping[str, Any]) -> str:
    channels, height, width = about["shape"]
    template = Template((DEVICE / "README.md").read_text(encoding="utf-8"))
    return template.substitute(
        kind="grey" if channels == 1 else "RGB",
        height=height,
        width=width,
        num_labels=len(about["labels"]),
        candidate=about["made"]["candidate"],
        size_kb=round(about["size_bytes"] / 1e3),
        sha256=about["sha256"],
        measured=_measured(about["measured"]),
    )


def _measured(figures: Mapping[str, Any] | None) -> str:
    if figures is None:
        return "Nothing was measured of it where this bundle was made."
    joules = figures["inference_energy_j"]
    energy = "energy unknown" if joules is None else f"{joules:.3g} J an image"
    return (
        f"Accuracy {figures['accuracy']:.4f} on {figures['num_images']} test images; {energy} "
        f"({figures['provenance']}, batch {figures['batch_size']}, on {figures['machine']})."
    )


def _write_zip(path: Path, folder: str, members: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in sorted(members.items()):
            entry = zipfile.ZipInfo(f"{folder}/{name}", LONG_AGO)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o100644 << 16
            entry.create_system = 3  # Unix, wherever it is made
            archive.writestr(entry, content)
