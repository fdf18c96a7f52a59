"""A champion in this checkout, as the task brings it."""

import shutil
from pathlib import Path

from lowtide.artifacts import CHAMPION, CHAMPION_ONNX, file_sha256, write_json


def bring(model: Path, version: int) -> None:
    CHAMPION_ONNX.parent.mkdir(exist_ok=True)
    shutil.copy(model, CHAMPION_ONNX)
    write_json(CHAMPION, {"version": version, "sha256": file_sha256(CHAMPION_ONNX)})
