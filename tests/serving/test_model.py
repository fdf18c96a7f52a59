"""Files that are not fit to serve are refused in one line, before anything runs in them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from lowtide.errors import ModelError
from lowtide.serving.model import ServedModel
from tests.runtime.files import write_classifier

Spoil = Callable[[Path], Path]


def truncated(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-200])
    return path


def garbage(path: Path) -> Path:
    path.write_bytes(b"\x00not a model\xff" * 50)
    return path


def empty(path: Path) -> Path:
    path.write_bytes(b"")
    return path


def missing(path: Path) -> Path:
    return path.with_name("none.onnx")


def with_data_at(path: Path, location: str) -> Path:
    model = onnx.load(path)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    del tensor.external_data[:]
    tensor.external_data.add(key="location", value=location)
    path.write_bytes(model.SerializeToString())
    return path


def data_above(path: Path) -> Path:
    (path.parent.parent / "secret.bin").write_bytes(b"\x00" * 4096)
    return with_data_at(path, "../secret.bin")


def data_elsewhere(path: Path) -> Path:
    return with_data_at(path, "/etc/passwd")


def data_by_a_link(path: Path) -> Path:
    (path.parent / "link.bin").symlink_to("/etc/passwd")
    return with_data_at(path, "link.bin")


def custom_operator(path: Path) -> Path:
    model = onnx.load(path)
    model.graph.node[2].domain = "evil.example"
    model.opset_import.append(helper.make_opsetid("evil.example", 1))
    path.write_bytes(model.SerializeToString())
    return path


def fixed_batch(path: Path) -> Path:
    return write_classifier(path, batch=4)


def four_channels(path: Path) -> Path:
    return write_classifier(path, channels=4)


def not_finite(path: Path) -> Path:
    model = onnx.load(path)
    head = next(tensor for tensor in model.graph.initializer if tensor.name == "head")
    head.CopyFrom(numpy_helper.from_array(np.full((16, 4), np.nan, np.float32), "head"))
    onnx.save(model, path)
    return path


def with_output(path: Path, node: onnx.NodeProto, value: onnx.ValueInfoProto) -> Path:
    model = onnx.load(path)
    model.graph.node.append(node)
    del model.graph.output[:]
    model.graph.output.append(value)
    onnx.save(model, path)
    return path


def a_sequence(path: Path) -> Path:
    node = helper.make_node("SequenceConstruct", ["scores"], ["sequence"])
    value = helper.make_tensor_sequence_value_info("sequence", TensorProto.FLOAT, None)
    return with_output(path, node, value)


def text(path: Path) -> Path:
    node = helper.make_node("Cast", ["scores"], ["text"], to=TensorProto.STRING)
    return with_output(
        path, node, helper.make_tensor_value_info("text", TensorProto.STRING, ["n", 4])
    )


def no_classes(path: Path) -> Path:
    return with_classes(path, 0)


def one_class(path: Path) -> Path:
    return with_classes(path, 1)


def with_classes(path: Path, num_classes: int) -> Path:
    model = onnx.load(path)
    for name, end in (("begin", 0), ("end", num_classes), ("axis", 1)):
        model.graph.initializer.append(numpy_helper.from_array(np.array([end]), name))
    onnx.save(model, path)
    node = helper.make_node("Slice", ["scores", "begin", "end", "axis"], ["few"])
    value = helper.make_tensor_value_info("few", TensorProto.FLOAT, ["n", num_classes])
    return with_output(path, node, value)


def no_pixels(path: Path) -> Path:
    """Their sum is 0 in each channel, and so are the logits."""
    model = onnx.load(write_classifier(path, side=0, width=3))
    cast, flatten, head = (model.graph.node[place] for place in (0, 4, 5))
    total = helper.make_node("ReduceSum", ["float", "sides"], ["pooled"])
    model.graph.initializer.append(numpy_helper.from_array(np.array([2, 3]), "sides"))
    del model.graph.node[:]
    model.graph.node.extend([cast, total, flatten, head])
    onnx.save(model, path)
    return path


def broken_metadata(path: Path) -> Path:
    model = onnx.load(path)
    helper.set_model_props(model, {"lowtide.mean": "{", "lowtide.std": "[1, 2, 3]"})
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (truncated, "not valid ONNX"),
        (garbage, "not valid ONNX"),
        (empty, "not valid ONNX"),
        (missing, "there is no model"),
        (data_above, "not valid ONNX"),
        (data_elsewhere, "not valid ONNX"),
        (data_by_a_link, "not valid ONNX"),
        (custom_operator, r"operators of evil\.example"),
        (fixed_batch, "any number of images"),
        (four_channels, "1 or 3 channels"),
        (not_finite, "finite logits"),
        (a_sequence, "gives list: expected"),
        (text, "expected finite logits"),
        (no_classes, r"gives float32 \[1, 0\]: expected .* 2 classes or more"),
        (one_class, r"gives float32 \[1, 1\]: expected .* 2 classes or more"),
        (no_pixels, "images of one size"),
        (broken_metadata, "not lists of numbers"),
    ],
)
def test_a_file_that_is_unfit_is_refused(tmp_path: Path, spoil: Spoil, said: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    path = spoil(write_classifier(folder / "m.onnx"))
    with pytest.raises(ModelError, match=said) as caught:
        ServedModel.open(path, name="m", num_threads=1)
    assert len(str(caught.value).splitlines()) == 1


def test_a_sound_file_says_what_it_takes(tmp_path: Path) -> None:
    model = ServedModel.open(
        write_classifier(tmp_path / "m.onnx"), name="m", num_threads=1, warm_up_images=4
    )
    assert model.signature.image_shape == (3, 8, 8)
    assert model.labels == ("0", "1", "2", "3")
    assert model.version == model.sha256[:12]
    logits, core_s = model.run(np.zeros((2, 3, 8, 8), np.uint8))
    assert logits.shape == (2, 4)
    assert core_s > 0
