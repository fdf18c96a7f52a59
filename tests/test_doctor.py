"""Each check can fail, says why without a traceback, and gives nothing secret away."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from lowtide import doctor
from lowtide.doctor import check_all
from lowtide.energy.sources import Reading
from lowtide.errors import MeterError
from lowtide.tracking.sender import without_password

NOWHERE = "http://me:secret@127.0.0.1:9"


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path.endswith("/health") else 404)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        pass


class Broken(Healthy):
    def do_GET(self) -> None:
        self.send_response(503)
        self.end_headers()


def serve(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def healthy() -> Iterator[str]:
    yield from serve(Healthy)


@pytest.fixture
def broken() -> Iterator[str]:
    yield from serve(Broken)


@pytest.fixture
def checks(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The checks by name, with no energy source opened."""
    monkeypatch.setattr(doctor, "open_sources", list)
    return lambda: {check["name"]: check for check in check_all(checkout / "params.yaml")}


class Source:
    def __init__(self, component: str, error: MeterError | None = None) -> None:
        self.component, self.error, self.closed = component, error, False

    def read(self) -> list[Reading]:
        if self.error is not None:
            raise self.error
        return [Reading(self.component, 0.0, "fake", "measured")]

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("name", "variable"), [("mlflow", "MLFLOW_TRACKING_URI"), ("prefect", "PREFECT_API_URL")]
)
def test_a_server_is_asked(
    name: str, variable: str, checks: Any, healthy: str, broken: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv(variable, healthy)
    assert checks()[name]["ok"]
    monkeypatch.setenv(variable, broken)
    assert not checks()[name]["ok"]
    assert "503" in checks()[name]["detail"]
    monkeypatch.setenv(variable, NOWHERE)
    away = checks()[name]
    assert not away["ok"]
    assert "127.0.0.1:9 does not answer" in away["detail"]
    assert variable in away["fix"]
    assert "secret" not in str(away)


def test_no_server_is_needed(checks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    found = checks()
    assert found["mlflow"]["ok"]
    assert found["prefect"]["ok"]


def test_a_folder_named_as_a_package_is_not_the_package(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (checkout / "tidewrack").mkdir()
    monkeypatch.syspath_prepend(str(checkout))
    monkeypatch.setattr(doctor, "NEEDED", ("pathlib", "tidewrack"))
    assert doctor._packages()[:2] == (False, "missing: tidewrack")


def test_an_energy_source_that_fails_is_a_failed_check() -> None:
    good, bad = Source("cpu"), Source("gpu", MeterError("the GPU is gone"))
    ok, detail, _ = doctor._energy([bad, good])
    assert not ok
    assert detail == "cpu measured (fake); the GPU is gone"
    assert good.closed
    assert bad.closed
    assert doctor._energy([Source("cpu")])[0]
    assert not doctor._energy([])[0]


def test_what_params_name_and_is_not_there_is_a_failed_check(
    checks: Any, write_params: Callable[..., Path]
) -> None:
    write_params(data={"source": "imagefolder"}, model={"teacher": "nowhere:net"})
    found = checks()
    assert "data.path is empty" in found["data"]["detail"]
    assert "nowhere:net cannot be imported" in found["models"]["detail"]
    assert found["carbon"]["ok"]


def test_a_teacher_may_teach_itself(checks: Any, write_params: Callable[..., Path]) -> None:
    write_params(model={"student": None})
    assert checks()["models"]["ok"]
    assert checks()["models"]["detail"] == "tidenet-m teaches itself"


def test_a_wrong_params_file_is_named_once(checks: Any, write_params: Callable[..., Path]) -> None:
    write_params(data={"source": "csv"})
    found = checks()
    assert [name for name, check in found.items() if "data.source" in check["detail"]] == ["params"]
    assert not found["carbon"]["ok"]


def test_an_address_is_shown_whole_but_for_its_password() -> None:
    assert without_password("sqlite:////srv/mlflow.db") == "sqlite:////srv/mlflow.db"
    assert without_password("http://me:secret@host:5000/x") == "http://host:5000/x"
