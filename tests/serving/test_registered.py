"""What the registry holds becomes one checked file here, or none."""

from pathlib import Path

import onnx
import pytest

from lowtide.artifacts import file_sha256
from lowtide.errors import ModelError
from lowtide.serving.registered import Entry, download, look
from tests.registry.conftest import empty_store, store
from tests.registry.stores import put_folder
from tests.runtime.files import write_classifier

__all__ = ["empty_store", "store"]


@pytest.fixture
def registered(checkout: Path) -> Path:
    folder = checkout / "registered"
    folder.mkdir()
    return write_classifier(folder / "model.onnx")


def champion(store: str) -> Entry:
    found = look(store, "champion")
    assert found is not None
    return found


def test_what_lowtide_has_registered_is_given_byte_by_byte(
    store: str, registered: Path, checkout: Path
) -> None:
    put_folder(store, registered.parent, file_sha256(registered))
    download(store, champion(store), checkout / "served.onnx")
    assert (checkout / "served.onnx").read_bytes() == registered.read_bytes()


def test_side_files_of_another_version_are_put_inside(
    store: str, registered: Path, checkout: Path
) -> None:
    model = onnx.load(registered)
    onnx.save(model, registered, save_as_external_data=True, location="side", size_threshold=0)
    assert (registered.parent / "side").exists()
    put_folder(store, registered.parent, sha256=None)
    download(store, champion(store), checkout / "served.onnx")
    assert onnx.load(checkout / "served.onnx", load_external_data=False) == onnx.load(registered)


@pytest.mark.parametrize("known", [True, False])
def test_what_is_no_model_is_not_given(
    store: str, registered: Path, checkout: Path, known: bool
) -> None:
    registered.write_bytes(b"no model")
    put_folder(store, registered.parent, file_sha256(registered) if known else None)
    with pytest.raises(ModelError, match="is not valid ONNX"):
        download(store, champion(store), checkout / "served.onnx")
    assert not (checkout / "served.onnx").exists()


@pytest.mark.parametrize(
    ("said", "batch_size"),
    [("64", 64), (None, None), ("0", None), ("nan", None),
     ("inf", None), ("many", None)],
)  # fmt: skip
def test_joules_are_of_batches_of_a_size_that_is_known_or_not(
    store: str, registered: Path, said: str | None, batch_size: int | None
) -> None:
    tags = {} if said is None else {"lowtide.inference_batch_size": said}
    put_folder(store, registered.parent, None, {**tags, "lowtide.inference_energy_j": "0.01"})
    figures = champion(store).figures
    assert (figures.inference_energy_j, figures.batch_size) == (0.01, batch_size)
