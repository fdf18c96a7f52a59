"""What each model said of each test image: from one run, so that comparisons are paired."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from lowtide.artifacts import atomic
from lowtide.errors import ArtifactError

MODEL, TEACHER, CHAMPION = "model", "teacher", "champion"
Named = Mapping[str, np.ndarray]  # by model


@dataclass(frozen=True)
class Answers:
    """labels: int64 [N]. named: the class that each model names, int64 [N]; confidence: its softmax
    probability, float32 [N]. shifted: named by shift, of each model that was tried so."""

    labels: np.ndarray
    named: Named
    confidence: Named
    shifted: Mapping[str, Named]


def answers_of(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(named, confidence) of logits [N, K]."""
    from scipy.special import softmax

    return logits.argmax(1), softmax(logits.astype(np.float32), axis=1).max(axis=1)


def write_answers(path: Path, answers: Answers) -> None:
    arrays = {
        "labels": answers.labels,
        **{f"named/{model}": array for model, array in answers.named.items()},
        **{f"confidence/{model}": array for model, array in answers.confidence.items()},
        **{
            f"shifted/{model}/{shift}": array
            for model, shifts in answers.shifted.items()
            for shift, array in shifts.items()
        },
    }
    with atomic(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def read_answers(path: Path) -> Answers:
    """ArtifactError where there is no such file, or it is no such file."""
    named: dict[str, np.ndarray] = {}
    confidence: dict[str, np.ndarray] = {}
    shifted: dict[str, dict[str, np.ndarray]] = {}
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            for key in file:
                kind, _, model = key.partition("/")
                if kind == "named":
                    named[model] = file[key]
                elif kind == "confidence":
                    confidence[model] = file[key]
                elif kind == "shifted":
                    model, _, shift = model.partition("/")
                    shifted.setdefault(model, {})[shift] = file[key]
            return Answers(file["labels"], named, confidence, shifted)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise ArtifactError(
            f"{path} has no usable answers ({error}): run `lowtide stage evaluate`"
        ) from None
