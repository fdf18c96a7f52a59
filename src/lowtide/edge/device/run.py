"""python run.py IMAGE...: the label of each image, and how probable it is.

Needs onnxruntime and numpy alone. What images are read: see images.py.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from images import read  # type: ignore[import-not-found]

HERE = Path(__file__).parent


def verify() -> None:
    """ValueError names the first file that is not the one which was packed."""
    for line in (HERE / "SHA256SUMS").read_text(encoding="utf-8").splitlines():
        digest, name = line.split("  ")
        if hashlib.sha256((HERE / name).read_bytes()).hexdigest() != digest:
            raise ValueError(f"{name} is not what SHA256SUMS says: unpack the bundle again")


def open_model() -> onnxruntime.InferenceSession:
    """On one thread and without an arena: for little memory, and for one image at a time."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    path, providers = str(HERE / "model.onnx"), ["CPUExecutionProvider"]
    return onnxruntime.InferenceSession(path, options, providers=providers)


def classify(paths: list[str]) -> None:
    about = json.loads((HERE / "model.json").read_text(encoding="utf-8"))
    if not about.get("labels"):
        raise ValueError("model.json has no labels: make the bundle again")
    session = open_model()
    for path in paths:
        pixels = read(path, *about["shape"])
        if about["mean"]:
            mean, std = np.array([about["mean"], about["std"]], np.float32)[..., None, None]
            pixels = (pixels.astype(np.float32) - mean) / std
        image = pixels[None].astype(about["type"], copy=False)
        logits = session.run(None, {about["input"]: image})[0][0]
        shares = np.exp(logits - logits.max())
        best = shares.argmax()
        print(f"{path}: {about['labels'][best]} ({shares[best] / shares.sum():.2f})")


if __name__ == "__main__":
    try:
        verify()
        classify(sys.argv[1:] or sys.exit("usage: python run.py IMAGE..."))
    except Exception as error:  # noqa: BLE001 -- onnxruntime's share no other base class
        sys.exit(f"run.py: {next(iter(str(error).splitlines()), type(error).__name__)}")
