"""Files of lower precision against the fp32 file, on the runtime that will serve them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lowtide.compression.keep import Candidate, decide, refused
from lowtide.data.batches import ImageArrays
from lowtide.errors import ArtifactError
from lowtide.runtime.onnx_model import OnnxModel
from lowtide.runtime.turns import quickest_calls

NUM_TURNS = 9


def accuracy(model: OnnxModel, split: ImageArrays) -> float:
    """Share of right answers."""
    return float((model.logits(split.images).argmax(1) == split.labels).mean())


def compare(
    fp32: Path, others: Mapping[str, Path], split: ImageArrays, *, accuracy_fp32: float,
    drop_max: float, batch_size: int, num_threads: int | None,
) -> dict[str, Candidate]:  # fmt: skip
    """Accuracy on the split, and speed at the batch size, of each of `others`."""
    models, found = {"fp32": OnnxModel(fp32, num_threads)}, {}
    for name, path in others.items():
        try:
            models[name] = OnnxModel(path, num_threads)
        except ArtifactError as error:
            found[name] = refused(str(error).replace(str(path), name))
    batch = np.resize(split.images[:batch_size], (batch_size, *split.images.shape[1:]))
    seconds = quickest_calls(models, batch, NUM_TURNS)
    for name in models.keys() - {"fp32"}:
        speedup = seconds["fp32"] / seconds[name]
        found[name] = decide(accuracy(models[name], split), accuracy_fp32, drop_max, speedup)
    return {name: found[name] for name in others}
