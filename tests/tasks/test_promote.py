"""Only the file that was judged is promoted; the link to MLflow leads where a browser finds it."""

from pathlib import Path
from typing import Any

import pytest
from prefect.states import Failed

from lowtide.artifacts import STAGES, VERDICT, file_sha256, report_path, write_json
from lowtide.errors import ArtifactError, GateError, LockedError, LowtideError, TrackingError
from tasks.promote import mlflow_ui, promote

MODEL = Path("model.onnx")


def leave(judged: str, evaluated: str) -> None:
    """A checkout after a run: its reports, and a verdict that passed."""
    changes: dict[str, dict[str, Any]] = {
        "export": {"model_path": str(MODEL)}, "evaluate": {"model_sha256": evaluated}
    }  # fmt: skip
    for stage in STAGES:
        write_json(report_path(stage), changes.get(stage, {}))
    write_json(VERDICT, {"passed": True, "model_sha256": judged, "champion": None, "reasons": []})


@pytest.mark.usefixtures("checkout")
def test_a_verdict_on_another_file_promotes_nothing() -> None:
    """The model was made and evaluated anew; the verdict is the one on its predecessor."""
    MODEL.write_bytes(b"anew")
    leave(judged="a" * 64, evaluated=file_sha256(MODEL))
    with pytest.raises(GateError, match=r"verdict\.json is not about model\.onnx .* `dvc repro`"):
        promote.fn(None)
    leave(judged=file_sha256(MODEL), evaluated="a" * 64)
    with pytest.raises(GateError, match="is not about"):
        promote.fn(None)


@pytest.mark.usefixtures("checkout")
def test_what_is_missing_is_named() -> None:
    leave("a" * 64, "a" * 64)
    with pytest.raises(ArtifactError, match=r"model\.onnx is missing: run `dvc repro`"):
        promote.fn(None)
    report_path("export").unlink()
    with pytest.raises(ArtifactError, match="no report of export"):
        promote.fn(None)


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (TrackingError("away"), True),
        (LockedError("held"), True),
        (GateError("no"), False),
        (ArtifactError("gone"), False),
    ],
)
def test_what_may_be_otherwise_soon_is_tried_again(error: LowtideError, again: bool) -> None:
    assert promote.retry_condition_fn is not None
    found = promote.retry_condition_fn(promote, None, Failed(data=error))  # type: ignore[arg-type]
    assert found is again


@pytest.mark.usefixtures("checkout")
@pytest.mark.parametrize(
    ("uri", "ui", "link"),
    [
        (None, None, "http://127.0.0.1:5000"),
        ("sqlite:///mlflow.db", None, "http://127.0.0.1:5000"),
        ("https://me:secret@mlflow.example.org/", None, "https://mlflow.example.org"),
        ("http://mlflow:5000", "http://127.0.0.1:5000", "http://127.0.0.1:5000"),
    ],
)
def test_the_link_follows_the_tracking_server(
    uri: str | None, ui: str | None, link: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("MLFLOW_TRACKING_URI", uri), ("LOWTIDE_MLFLOW_UI", ui)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert mlflow_ui() == link
