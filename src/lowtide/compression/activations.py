"""What flows through an exported graph, a batch at a time."""

from collections.abc import Iterator, Sequence

import numpy as np
import onnx

from lowtide.runtime.normalisation import Normalisation
from lowtide.runtime.onnx_model import INPUT

BATCH_SIZE = 32  # images whose activations are in memory at once


def activations(
    model: onnx.ModelProto, tensors: Sequence[str], images: np.ndarray
) -> Iterator[dict[str, np.ndarray]]:
    """The named float32 tensors for uint8 images [N, C, H, W], in batches of `BATCH_SIZE`."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = False  # it would keep what every tensor needed at its largest
    session = onnxruntime.InferenceSession(
        _showing(model, tensors).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    outside = Normalisation.of_metadata({one.key: one.value for one in model.metadata_props})
    for start in range(0, len(images), BATCH_SIZE):
        batch = np.ascontiguousarray(images[start : start + BATCH_SIZE])
        prepared = batch if outside is None else outside(batch)
        shown = [name for name in tensors if name != INPUT]
        answers = dict(zip(shown, session.run(shown, {INPUT: prepared}), strict=True))
        yield {name: prepared if name == INPUT else answers[name] for name in tensors}


def _showing(model: onnx.ModelProto, tensors: Sequence[str]) -> onnx.ModelProto:
    """A copy with the tensors among its outputs."""
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    known = {value.name for value in (*model.graph.input, *model.graph.output)}
    shown.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        for name in tensors
        if name not in known
    )
    return shown
