"""The champion's file, brought here so that a candidate can be held against it."""

import shutil
from tempfile import TemporaryDirectory
from typing import Any

from lowtide.artifacts import CHAMPION, CHAMPION_ONNX, atomic, file_sha256, write_json
from lowtide.registry.client import SHA256, find_champion, open_registry
from lowtide.registry.versions import version_file
from lowtide.tracking.sender import unmade_database


def fetch_champion(uri: str, unless: str | None = None) -> int | None:
    """Write the champion's file and its record, and return its version; None: there is none.

    The record says version and sha256: both null where there is no champion, sha256 alone where
    lowtide has not registered it. A champion whose sha256 is `unless` leaves all as it is.

    Raises:
        ModelError: the file that the registry gives is not the one that was promoted.
        TrackingError: the server does not answer; the files stay as they were.
    """
    if unmade_database(uri) is not None:
        return _record(None, None)
    with open_registry(uri, "give its champion") as client:
        champion = find_champion(client)
        if champion is None:
            return _record(None, None)
        version, digest = int(champion.version), champion.tags.get(SHA256)
        if digest is not None and digest == unless:
            return version
        if digest is not None and not _is_here(digest):
            _download(uri, client, champion.version, digest)
    return _record(version, digest)


def _record(version: int | None, digest: str | None) -> int | None:
    write_json(CHAMPION, {"version": version, "sha256": digest})
    if digest is None:
        CHAMPION_ONNX.unlink(missing_ok=True)
    return version


def _is_here(digest: str) -> bool:
    return CHAMPION_ONNX.exists() and digest == file_sha256(CHAMPION_ONNX)


def _download(uri: str, client: Any, version: str, digest: str) -> None:
    with TemporaryDirectory() as folder:
        path = version_file(client, uri, version, digest, folder)
        with atomic(CHAMPION_ONNX) as temporary:
            shutil.copyfile(path, temporary)
