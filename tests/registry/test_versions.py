"""The file of a version is the one that was registered, or is not given."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from lowtide.artifacts import CHAMPION, CHAMPION_ONNX, file_sha256
from lowtide.errors import ModelError
from lowtide.pipeline import pipeline_metrics
from lowtide.registry import fetch_champion
from lowtide.registry.versions import version_file, version_tags
from tests.registry.stores import client_of, put_folder, write_model
from tests.report.conftest import reports

__all__ = ["reports"]


@pytest.fixture
def registered(checkout: Path) -> Path:
    folder = checkout / "registered"
    folder.mkdir()
    return write_model(folder / "model.onnx", 0.5)


@pytest.fixture
def given(checkout: Path) -> str:
    """An empty folder."""
    (checkout / "given").mkdir()
    return str(checkout / "given")


def test_a_file_is_given_if_it_is_that_of_its_sha256(
    store: str, registered: Path, given: str
) -> None:
    digest = file_sha256(registered)
    client, version = client_of(store), put_folder(store, registered.parent, digest)
    for known in (digest, None):
        found = version_file(client, store, version, known, given)
        assert found.read_bytes() == registered.read_bytes()
    with pytest.raises(ModelError, match=r"version 1 .* the tag 000000000000: .*`make rollback`"):
        version_file(client, store, version, "0" * 64, given)


@pytest.mark.parametrize("num_files", [0, 2])
def test_a_version_of_no_file_or_several_is_refused(
    store: str, registered: Path, given: str, num_files: int
) -> None:
    if num_files:
        shutil.copytree(registered.parent, registered.parent / "second")
    else:
        registered.rename(registered.with_name("other.onnx"))
    version = put_folder(store, registered.parent, sha256=None)
    with pytest.raises(ModelError, match=rf"holds {num_files} model\.onnx: give its alias"):
        version_file(client_of(store), store, version, None, given)


def test_a_champion_that_is_another_file_is_not_fetched(store: str, registered: Path) -> None:
    put_folder(store, registered.parent, "0" * 64)
    with pytest.raises(ModelError, match="is not the file that was registered"):
        fetch_champion(store)
    assert not CHAMPION.exists()
    assert not CHAMPION_ONNX.exists()


def test_tags_tell_joules_and_the_batches_that_took_them(reports: dict[str, Any]) -> None:
    tags = version_tags({"passed": True, "reasons": []}, "", pipeline_metrics(reports))
    joules, images = tags["lowtide.inference_energy_j"], tags["lowtide.inference_batch_size"]
    assert (joules, images) == ("0.002", "8")
