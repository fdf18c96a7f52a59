"""Files as they are served: what they take, where they run, and what is said if they cannot."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from lowtide.errors import ArtifactError, UsageError
from lowtide.runtime.normalisation import Normalisation
from lowtide.runtime.onnx_model import CPU, CUDA, OnnxModel
from tests.runtime.files import write_classifier

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 3, 8, 8), dtype=np.uint8)


def test_a_file_of_others_runs_whatever_its_input_is_called(tmp_path: Path) -> None:
    model = OnnxModel(write_classifier(tmp_path / "m.onnx"), 1, provider="cpu")
    assert model.input_name == "pixels"
    assert model.logits(IMAGES, batch_size=2).shape == (5, 4)
    assert (model.runtime.provider, model.runtime.num_threads) == (CPU, 1)
    assert model.prepare(IMAGES) is IMAGES


@pytest.mark.skipif(CUDA in onnxruntime.get_available_providers(), reason="has CUDA")
def test_a_provider_that_is_not_there_is_refused_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"provider cuda .* install lowtide\[gpu\]"):
        OnnxModel(write_classifier(tmp_path / "m.onnx"), provider="cuda")


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"there is no model .*none\.onnx: name"):
        OnnxModel(tmp_path / "none.onnx")


def test_a_batch_that_the_file_cannot_take_is_one_line(tmp_path: Path) -> None:
    model = OnnxModel(write_classifier(tmp_path / "m.onnx", batch=4), 1)
    with pytest.raises(ArtifactError, match=r"m\.onnx cannot take images \[5, 3, 8, 8\]") as caught:
        model.run(IMAGES)
    assert "\n" not in str(caught.value)


def test_what_takes_no_images_is_refused(tmp_path: Path) -> None:
    path = write_classifier(tmp_path / "m.onnx")
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.INT64
    onnx.save(model, path)
    with pytest.raises(ArtifactError, match=r"takes tensor\(int64\)"):
        OnnxModel(path)


def test_a_normalisation_is_what_its_metadata_say() -> None:
    normalisation = Normalisation((10.0, 20.0, 30.0), (2.0, 4.0, 8.0))
    assert Normalisation.of_metadata(normalisation.metadata()) == normalisation
    assert Normalisation.of_metadata({"lowtide.labels": "[]"}) is None
    normalised = normalisation(IMAGES)
    assert normalised.dtype == np.float32
    assert normalised[0, 1, 2, 3] == (float(IMAGES[0, 1, 2, 3]) - 20) / 4
