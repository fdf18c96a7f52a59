"""The page in Chromium: labels as predict gives them, without a network, and asking nobody else."""

import functools
import json
import re
import shutil
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lowtide.edge.page import DIST, write_page
from lowtide.energy import counting
from lowtide.evaluation import predict
from tests.conftest import ROOT
from tests.edge.conftest import classifier, draw_pictures

playwright = pytest.importorskip("playwright.sync_api", reason="pip install -e '.[browser]'")
pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
PAGE = ROOT / "deploy/edge"
PATIENCE_MS = 90_000
CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        pass


class Site:
    """A static server of a folder, on loopback."""

    def __init__(self, folder: Path) -> None:
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))
        )
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Visit:
    """A tab in a browser without a past; what it asks for and complains of is kept."""

    def __init__(self, browser: Any, url: str, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.tab = self.context.new_page()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.tab.set_default_timeout(PATIENCE_MS)
        self.tab.on("request", lambda request: self.requests.append(request.url))
        self.tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.tab.on("console", lambda line: self.complaints.append(line.text))
        self.tab.goto(url)

    def shows(self, place: str, text: str) -> None:
        found = playwright.expect(self.tab.locator(place))
        found.to_have_text(re.compile(text), timeout=PATIENCE_MS)

    def label_of(self, image: Path) -> tuple[str, float]:
        """Label and probability, as a percentage."""
        self.tab.evaluate("() => document.getElementById('label').textContent = ''")
        self.tab.set_input_files("#file", image)
        self.shows("#label", ".+")
        share = self.tab.inner_text("#bars li:first-child span:last-child")
        return self.tab.inner_text("#label"), float(share.removesuffix(" %"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("no Chromium: apt-get install chromium")
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=found, args=["--no-sandbox", *CAMERA])
        yield launched
        launched.close()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    if not (PAGE / DIST).exists():
        pytest.skip("no onnxruntime-web: npm ci --prefix deploy/edge")
    monkeypatch.setattr(counting, "open_sources", list)
    monkeypatch.setattr(predict, "MEASURE_S", 0.01)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return classifier(tmp_path / "m.onnx")


@pytest.fixture
def site(model: Path, tmp_path: Path) -> Iterator[Site]:
    write_page(model, PAGE, tmp_path / "site")
    started = Site(tmp_path / "site")
    yield started
    started.stop()


def expected(model: Path, images: list[Path]) -> list[tuple[str, float]]:
    found = predict.predict_files(model, images)["predictions"]
    return [(one["label"], round(100 * one["probability"], 1)) for one in found]


def same(found: list[tuple[str, float]], wanted: list[tuple[str, float]]) -> bool:
    return all(a == b and abs(p - q) < 0.11 for (a, p), (b, q) in zip(found, wanted, strict=True))


def more_pictures(folder: Path) -> list[Path]:
    """As people have them: a larger one, a JPEG, a grey one."""
    generator = np.random.default_rng(2)
    ramp = np.linspace(0, 255, 300 * 200 * 3).reshape(300, 200, 3)
    large = np.clip(ramp + generator.normal(0, 20, ramp.shape), 0, 255).astype(np.uint8)
    paths = [folder / "large.png", folder / "large.jpg", folder / "grey.png"]
    for path, pixels in zip(paths, (large, large, large[..., 1]), strict=True):
        Image.fromarray(pixels).save(path)
    return paths


def test_it_labels_as_predict_does(browser: Any, site: Site, model: Path, tmp_path: Path) -> None:
    visit = Visit(browser, site.url)
    visit.shows("#status", "also offline")
    images = [*draw_pictures(tmp_path), *more_pictures(tmp_path)]
    wanted = expected(model, images)
    assert len({label for label, _ in wanted}) > 2
    found = [visit.label_of(image) for image in images]
    assert same(found, wanted), (found, wanted)
    assert visit.complaints == []
    assert {url for url in visit.requests if not url.startswith((site.url, "data:"))} == set()


def test_it_works_when_network_and_server_are_gone(
    browser: Any, site: Site, model: Path, tmp_path: Path
) -> None:
    visit = Visit(browser, site.url)
    visit.shows("#status", "also offline")
    site.stop()
    visit.context.set_offline(True)
    visit.tab.reload()
    visit.shows("#status", "also offline")
    images = draw_pictures(tmp_path)[:3]
    assert same([visit.label_of(image) for image in images], expected(model, images))


def test_energy_follows_what_is_assumed(browser: Any, site: Site, tmp_path: Path) -> None:
    visit = Visit(browser, site.url)
    visit.shows("#status", "ready")
    image = draw_pictures(tmp_path)[0]
    visit.label_of(image)
    sent_mb = (image.stat().st_size + 2000) / 1e6
    visit.shows("#round-trip", re.escape(f"{1e3 * sent_mb * 6.75:.3g} mJ"))
    visit.shows("#comparison", "whose own energy is not known")
    visit.tab.fill("#server-joules", "2")
    visit.tab.fill("#joules-per-mb", "0")
    visit.shows("#round-trip", "^2 J$")
    visit.shows("#comparison", "times less than sending .* to the server.*paid back after")
    visit.tab.fill("#server-joules", "0.000000001")
    visit.shows("#comparison", "times as much as")


def test_the_camera_is_answered_until_it_is_stopped(browser: Any, site: Site) -> None:
    visit = Visit(browser, site.url)
    visit.shows("#status", "ready")
    visit.tab.click("#camera")
    visit.shows("#camera", "Stop the camera")
    visit.shows("#label", "ash|beech|cherry|düne")
    visit.tab.click("#camera")
    visit.shows("#camera", "Use the camera")
    assert visit.complaints == []


def test_what_is_no_image_is_one_line(browser: Any, site: Site, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image")
    visit = Visit(browser, site.url)
    visit.shows("#status", "ready")
    visit.tab.set_input_files("#file", tmp_path / "text.png")
    visit.shows("#error", "^text.png is no image that this browser can read: choose")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda path: path.write_bytes(path.read_bytes()[:-100]),
            "is not the file that model.json",
        ),
        (lambda path: path.unlink(), "model.onnx is not at this server"),
    ],
)
def test_a_model_that_is_not_whole_is_one_line(
    browser: Any, site: Site, tmp_path: Path, change: Any, message: str
) -> None:
    change(tmp_path / "site/model.onnx")
    visit = Visit(browser, site.url)
    visit.shows("#error", f"^The model cannot be loaded: .*{message}")
    visit.shows("#status", "not ready")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_names_what_can_be_used(
    browser: Any, site: Site, tmp_path: Path, scheme: str
) -> None:
    visit = Visit(browser, site.url, viewport={"width": 360, "height": 740}, color_scheme=scheme)
    visit.shows("#status", "ready")
    visit.label_of(draw_pictures(tmp_path)[0])
    visit.tab.click("summary")
    assert visit.tab.evaluate("() => document.documentElement.scrollWidth") <= 360
    for role, name in (
        ("button", "Use the camera"), ("spinbutton", "This device"), ("spinbutton", "Network"),
        ("spinbutton", "Server"), ("heading", "Energy"), ("img", "the chosen image"),
    ):  # fmt: skip
        playwright.expect(visit.tab.get_by_role(role, name=name)).to_be_attached()


def test_a_trained_int8_model_labels_digits_as_predict_does(
    browser: Any, project: Any, tmp_path: Path
) -> None:
    project.run("dvc", "repro")
    command = (sys.executable, "-m", "lowtide", "bundle", "--web", str(tmp_path / "site"))
    project.run(*command, "--page", str(PAGE), "--json", "artifacts/model.int8.onnx")
    about = json.loads((tmp_path / "site/model.json").read_text())
    assert about["measured"]["inference_energy_j"] > 0
    images = np.load(project.folder / "artifacts/data/test_images.npy")[:40]
    paths = [tmp_path / f"{index}.png" for index in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image[0]).save(path)
    site = Site(tmp_path / "site")
    visit = Visit(browser, site.url)
    visit.shows("#status", "ready")
    found = [visit.label_of(path)[0] for path in paths]
    site.stop()
    wanted = expected(project.folder / "artifacts/model.int8.onnx", paths)
    assert found == [label for label, _ in wanted]
