"""The link to MLflow leads where a browser finds it."""

import pytest

from tasks.promote import mlflow_ui


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
