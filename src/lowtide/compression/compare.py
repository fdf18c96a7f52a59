"""Files of lower precision against the fp32 file, on the runtime that will serve them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lowtide.compression.half import HALVES, has_kernels
from lowtide.compression.keep import Compared, decide, refused
from lowtide.data.arrays import ImageArrays
from lowtide.energy.counting import counting_window
from lowtide.errors import ArtifactError
from lowtide.runtime.onnx_model import CPU, OnnxModel, Provider
from lowtide.runtime.probe import take_turns
from lowtide.runtime.ratio import times_less

NUM_TURNS = 5


def accuracy(model: OnnxModel, split: ImageArrays) -> float:
    """Share of right answers."""
    return float((model.logits(split.images).argmax(1) == split.labels).mean())


def compare(
    fp32: Path, others: Mapping[str, Path], split: ImageArrays, *, accuracy_fp32: float,
    drop_max: float, batch_size: int, num_threads: int | None, provider: Provider = "auto",
) -> dict[str, Compared]:  # fmt: skip
    """Accuracy on the split, and what an inference takes at the batch size, of each of `others`."""
    models, found = {"fp32": OnnxModel(fp32, num_threads, provider=provider)}, {}
    images = np.asarray(split.images[:batch_size])
    for name, path in others.items():
        try:
            model = OnnxModel(path, num_threads, provider=provider)
        except ArtifactError as error:
            found[name] = refused(str(error).replace(str(path), name))
            continue
        if name in HALVES and model.runtime.provider == CPU and not has_kernels(path, images):
            found[name] = refused(f"this processor computes {name} in float32: it has no kernel")
        else:
            models[name] = model
    with counting_window() as window:
        turns = take_turns(models, images, window, batch_size=batch_size, num_repeats=NUM_TURNS)
    for name in models.keys() - {"fp32"}:
        gain = times_less(turns["fp32"], turns[name])
        found[name] = decide(accuracy(models[name], split), accuracy_fp32, drop_max, gain)
    return {name: found[name] for name in others}
