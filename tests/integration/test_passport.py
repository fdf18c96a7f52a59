"""The page in a real browser: fits a phone, prints, fetches nothing."""

import html
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
PHONE = 390

FRAME = """<!doctype html><iframe id="f" style="width:{width}px;height:800px;border:0"
srcdoc="{page}"></iframe><script>
f.onload = () => document.body.setAttribute("data-width",
  f.contentDocument.scrollingElement.scrollWidth);
</script>"""


@pytest.fixture(scope="module")
def browser() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("no Chromium: apt-get install chromium")
    return found


@pytest.fixture(scope="module")
def page(project: Any) -> Path:
    project.run("dvc", "repro")
    project.run("lowtide", "report")
    return Path(project.folder / "reports/passport.html")


def chromium(browser: str, *arguments: str) -> str:
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=4000",
         "--host-resolver-rules=MAP * ~NOTFOUND", *arguments],
        capture_output=True, text=True, check=False, timeout=90,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_is_no_wider_than_a_phone(browser: str, page: Path, tmp_path: Path) -> None:
    frame = tmp_path / "frame.html"
    frame.write_text(FRAME.format(width=PHONE, page=html.escape(page.read_text())))
    width = re.search(r'data-width="(\d+)"', chromium(browser, "--dump-dom", frame.as_uri()))
    assert width is not None
    assert int(width[1]) <= PHONE


def test_the_page_prints(browser: str, page: Path, tmp_path: Path) -> None:
    target = tmp_path / "passport.pdf"
    chromium(browser, f"--print-to-pdf={target}", page.as_uri())
    assert target.read_bytes().startswith(b"%PDF")
    assert target.stat().st_size > 20_000


def test_the_page_refers_to_nothing_outside(page: Path) -> None:
    text = page.read_text()
    assert not re.search(r'(src|href|xlink:href)="(?!#)', text)
    assert "@import" not in text
    assert re.search(r"url\((?!#)", text) is None
