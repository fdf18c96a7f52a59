"""16-bit files: float16 answers like float; what this processor has no kernel for is refused."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from lowtide.compression.compare import compare
from lowtide.compression.half import HALVES, Half, has_kernels, write_half
from lowtide.compression.onnx_export import export_onnx, opset_of
from lowtide.data.arrays import ImageArrays
from lowtide.errors import ModelError
from lowtide.runtime.onnx_model import OnnxModel


def test_float16_takes_pixels_and_gives_float32(rig, graph, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    write_half(graph, tmp_path / "half.onnx", "float16")
    size = (tmp_path / "half.onnx").stat().st_size
    assert size < 0.6 * (tmp_path / "fp32.onnx").stat().st_size
    logits = OnnxModel(tmp_path / "half.onnx", 1).logits(rig.images)
    assert logits.dtype == np.float32
    assert np.allclose(logits, OnnxModel(tmp_path / "fp32.onnx", 1).logits(rig.images), atol=0.01)


def test_bfloat16_is_valid_and_holds_no_float16(graph, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    write_half(graph, tmp_path / "half.onnx", "bfloat16")
    model = onnx.load(tmp_path / "half.onnx")
    onnx.checker.check_model(model, full_check=True)
    types = {tensor.data_type for tensor in model.graph.initializer}
    assert onnx.TensorProto.BFLOAT16 in types
    assert onnx.TensorProto.FLOAT16 not in types


@pytest.mark.parametrize(("kind", "opset"), [("float16", 20), ("bfloat16", 22)])
def test_a_file_states_the_opset_that_it_has(
    kind: Half, opset: int, graph: onnx.ModelProto, tmp_path: Path
) -> None:
    """bfloat16 takes a later one than `export.opset` asked for."""
    write_half(graph, tmp_path / "half.onnx", kind)
    model = onnx.load(tmp_path / "half.onnx")
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert opset_of(model) == int(metadata["lowtide.opset"]) == opset
    assert "is inside the graph" in metadata["lowtide.preprocessing"]


def test_both_are_judged_by_measurement(rig, graph, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    paths = {name: tmp_path / f"{name}.onnx" for name in HALVES}
    for name in HALVES:
        write_half(graph, paths[name], name)
    labels = OnnxModel(tmp_path / "fp32.onnx", 1).logits(rig.images).argmax(1)
    found = compare(
        tmp_path / "fp32.onnx", paths, ImageArrays(rig.images, labels),
        accuracy_fp32=1.0, drop_max=0.05, batch_size=4, num_threads=1,
    )  # fmt: skip
    assert tuple(found) == HALVES
    for name, one in found.items():
        executed = one.times_less is not None
        if name == "float16":
            assert executed == has_kernels(paths[name], rig.images[:4])
        assert executed or "cannot be opened" in one.why or "it has no kernel" in one.why
        assert one.kept == (executed and one.why.startswith("takes") and "times less" in one.why)


def test_a_graph_of_a_later_opset_is_taken_as_it_is(rig, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    export_onnx(rig.model, (3, 16, 16), tmp_path / "later.onnx", opset=23)
    for name in HALVES:
        write_half(onnx.load(tmp_path / "later.onnx"), tmp_path / "half.onnx", name)
        onnx.checker.check_model(onnx.load(tmp_path / "half.onnx"), full_check=True)


def test_what_cannot_be_converted_is_named(graph, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    graph.graph.node[0].op_type = "Unheard"
    with pytest.raises(ModelError, match="cannot be converted to bfloat16"):
        write_half(graph, tmp_path / "half.onnx", "bfloat16")
    assert not (tmp_path / "half.onnx").exists()
