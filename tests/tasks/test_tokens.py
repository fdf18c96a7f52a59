"""Tokens from Prefect's Secret blocks, kept by a real temporary server."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
NAMES = ("ELECTRICITY_MAPS_TOKEN", "WATTTIME_USER", "WATTTIME_PASSWORD")
SCRIPT = """
import os
from prefect import flow
from prefect.blocks.system import Secret
from tasks.tokens import load_tokens

@flow
def tokens():
    assert load_tokens() == []
    Secret(value="from a block").save("electricity-maps-token")
    Secret(value="unused").save("watttime-user")
    assert load_tokens() == ["ELECTRICITY_MAPS_TOKEN"]

tokens()
print(os.environ["ELECTRICITY_MAPS_TOKEN"], os.environ["WATTTIME_USER"],
      os.environ.get("WATTTIME_PASSWORD"), sep="; ")
"""


def test_blocks_fill_what_the_environment_lacks(prefect_home: Path, tmp_path: Path) -> None:
    home = tmp_path / "prefect"
    shutil.copytree(prefect_home, home)  # blocks that are saved here are nobody else's
    outside = {k: v for k, v in os.environ.items() if k not in NAMES and "PREFECT" not in k}
    environment = {
        **outside,
        "WATTTIME_USER": "from outside",
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "from a block; from outside; None"
    assert "from a block" not in done.stderr
