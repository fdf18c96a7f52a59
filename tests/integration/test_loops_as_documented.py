"""The examples of docs/loops.md, run as they stand there."""

import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

PAGE = (Path(__file__).parent.parent.parent / "docs/loops.md").read_text()
EXAMPLES = re.findall(r"## (.+?)\n(?:[^#`]|`[^`])*?```python\n(.+?)```", PAGE, re.DOTALL)
NEEDS = {"Any loop": "torch", "Lightning": "lightning", "Hugging Face": "transformers"}


def test_there_is_one_for_each() -> None:
    assert [title for title, _ in EXAMPLES] == list(NEEDS)


@pytest.mark.parametrize(("title", "example"), EXAMPLES, ids=[title for title, _ in EXAMPLES])
def test_an_example_runs_as_written(title: str, example: str, tmp_path: Path) -> None:
    pytest.importorskip(NEEDS[title])
    assert len(example.strip().splitlines()) < 15
    script = tmp_path / "train.py"
    script.write_text(example)
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"lowtide: loop: \d\d steps, [\d.e-]+ kWh [\d.e-]+ g CO2e", done.stderr)
    with sqlite3.connect(tmp_path / ".lowtide/ledger.db") as ledger:
        ((joules, num_runs),) = ledger.execute(
            "SELECT sum(energy_j), count(DISTINCT run_id) FROM intervals"
        )
    assert joules > 0
    assert num_runs == 1
