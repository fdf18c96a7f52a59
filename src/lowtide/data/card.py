"""What `prepare` says of the images, for all stages behind it."""

from dataclasses import dataclass
from pathlib import Path

from lowtide.artifacts import read_json


@dataclass(frozen=True)
class Card:
    class_names: tuple[str, ...]
    shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    sha256: str


def load_card(folder: Path) -> Card:
    content = read_json(folder / "card.json")
    channels, height, width = content["shape"]
    return Card(
        tuple(content["class_names"]), (channels, height, width),
        tuple(content["mean"]), tuple(content["std"]), content["sha256"],
    )  # fmt: skip
