"""The folder for a web server is whole, and what is missing for it is said."""

import json
import re
from pathlib import Path

import pytest

from lowtide.edge.page import DIST, RUNTIME, write_page
from lowtide.errors import ArtifactError
from tests.conftest import ROOT
from tests.edge.conftest import LABELS

SOURCE = ROOT / "deploy/edge"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The page as it is, with little in place of the runtime, which no test here runs."""
    folder = tmp_path / "source"
    (folder / DIST).mkdir(parents=True)
    for path in SOURCE.iterdir():
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    for name in RUNTIME:
        (folder / DIST / name).write_bytes(b"runtime")
    return folder


def kept(folder: Path) -> list[str]:
    listed = re.search(r"FILES = (.*);", (folder / "files.js").read_text())
    assert listed is not None
    names: list[str] = json.loads(listed[1])
    return names


def test_all_that_the_page_asks_for_is_there_and_kept(
    model: Path, source: Path, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    written = write_page(model, source, site)
    assert set(written["files"]) == {path.name for path in site.iterdir()}
    assert set(kept(site)) == {"./", *written["files"]} - {"sw.js", "files.js"}
    texts = [(site / name).read_text() for name in ("index.html", "page.js", "classifier.js")]
    asked = re.findall(
        r'(?:src|href|from|got\(|URL\()\s*=?"(?:\./)?([\w.-]+\.\w+)"', "".join(texts)
    )
    assert len(asked) >= 5
    assert set(asked) <= set(written["files"])
    about = json.loads((site / "model.json").read_text())
    assert about["labels"] == LABELS
    sizes = (path.stat().st_size for path in site.iterdir())
    others = sum((site / name).stat().st_size for name in ("model.json", "files.js"))
    assert about["page_bytes"] == written["size_bytes"] == sum(sizes) - others


def test_another_model_is_another_version(model: Path, source: Path, tmp_path: Path) -> None:
    write_page(model, source, tmp_path / "a")
    write_page(model, source, tmp_path / "b")
    model.write_bytes(model.read_bytes().replace(b"cherry", b"cedars"))
    write_page(model, source, tmp_path / "c")
    first, second, third = ((tmp_path / name / "files.js").read_text() for name in "abc")
    assert first == second != third


def test_the_page_may_ask_its_own_server_alone() -> None:
    policy = re.search(r'Security-Policy" content="([^"]+)"', (SOURCE / "index.html").read_text())
    assert policy is not None
    rules = dict(rule.split(" ", 1) for rule in policy[1].split("; "))
    assert rules["default-src"] == "'none'"
    assert {word for rule in rules.values() for word in rule.split()} == {
        "'none'", "'self'", "'wasm-unsafe-eval'", "data:",
    }  # fmt: skip


def test_the_runtime_is_pinned() -> None:
    wanted = json.loads((SOURCE / "package.json").read_text())["dependencies"]["onnxruntime-web"]
    locked = json.loads((SOURCE / "package-lock.json").read_text())["packages"]
    assert locked["node_modules/onnxruntime-web"]["version"] == wanted
    assert all("integrity" in entry for name, entry in locked.items() if name)


def test_what_is_missing_is_said(model: Path, source: Path, tmp_path: Path) -> None:
    (source / DIST / RUNTIME[0]).unlink()
    with pytest.raises(ArtifactError, match="is missing: run `npm ci --prefix"):
        write_page(model, source, tmp_path / "site")
    with pytest.raises(ArtifactError, match=r"no page in .*: name its sources with --page"):
        write_page(model, tmp_path, tmp_path / "site")
    assert not (tmp_path / "site").exists()
