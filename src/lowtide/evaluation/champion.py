"""The model that serves by now, as a task has brought it: beside the candidate, in one run."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lowtide.artifacts import CHAMPION, CHAMPION_ONNX, file_sha256, read_json
from lowtide.data.card import Card
from lowtide.energy.totals import Totals
from lowtide.errors import ArtifactError
from lowtide.evaluation.answers import CHAMPION as CHAMPION_NAME
from lowtide.params import EvaluateParams
from lowtide.runtime.onnx_model import OnnxModel
from lowtide.runtime.probe import Turns, summary


@dataclass(frozen=True)
class Champion:
    """Both None where there is none, as far as this checkout has been told; sha256 alone: it was
    not registered by lowtide."""

    version: int | None
    sha256: str | None


def read_champion() -> Champion:
    if not CHAMPION.exists():
        return Champion(None, None)
    content = read_json(CHAMPION)
    return Champion(content["version"], content["sha256"])


@dataclass(frozen=True)
class Rival:
    """The champion in the runtime that the candidates have; `model` None: there is none, or none
    that can be compared. incomparable: what keeps it from the same test images."""

    champion: Champion
    model: OnnxModel | None
    incomparable: str | None

    @classmethod
    def of_record(cls, card: Card, params: EvaluateParams) -> "Rival":
        """ArtifactError: the file is not the one of the record, or cannot be opened."""
        champion = read_champion()
        if champion.version is None:
            return cls(champion, None, None)
        if champion.sha256 is None:
            return cls(champion, None, "it was not registered by lowtide, which has no file of it")
        if not CHAMPION_ONNX.exists() or file_sha256(CHAMPION_ONNX) != champion.sha256:
            raise ArtifactError(
                f"{CHAMPION_ONNX} is not the champion of {CHAMPION}: remove both, and run "
                "`python -m flows.pipeline`, which brings it"
            )
        model = OnnxModel(CHAMPION_ONNX, params.num_threads, provider=params.provider)
        return cls(champion, model, why_incomparable(model, card))

    @property
    def models(self) -> dict[str, OnnxModel]:
        """By the name `champion`, where it can be compared."""
        return {CHAMPION_NAME: self.model} if self.model and self.incomparable is None else {}

    def report(
        self,
        logits: Mapping[str, np.ndarray],
        turns: Mapping[str, Turns],
        labels: np.ndarray,
        params: EvaluateParams,
        used: Totals,
    ) -> dict[str, Any] | None:
        """None where there is no champion."""
        if self.champion.version is None:
            return None
        known = {**asdict(self.champion), "incomparable": self.incomparable}
        if self.model is None or self.incomparable is not None:
            return known
        return {
            **known,
            "accuracy": float((logits[CHAMPION_NAME].argmax(1) == labels).mean()),
            "size_bytes": CHAMPION_ONNX.stat().st_size,
            "data_sha256": self.model.metadata.get("lowtide.data_sha256"),
            **asdict(summary(turns[CHAMPION_NAME], params.batch_size, used.provenance)),
        }


def why_incomparable(champion: OnnxModel, card: Card) -> str | None:
    """What keeps it from this data's test images; None where nothing does."""
    taken = champion.input_shape[1:]
    if taken != list(card.shape):
        return f"it takes images {taken}, this data has {list(card.shape)}"
    classes = tuple(json.loads(champion.metadata.get("lowtide.labels", "[]")))
    if classes != card.class_names:
        return f"it has {len(classes)} classes, this data {len(card.class_names)}, or other names"
    return None
