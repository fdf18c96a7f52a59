"""A search in a process of its own, whose energy is its processor time: the same on a busy machine.

`python -m tests.search.searching FOLDER BUDGET_G` prints the report as JSON.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from lowtide.energy.sources import Reading

POWER_W = 50.0


class ProcessorTime:
    def read(self) -> list[Reading]:
        return [Reading("cpu", POWER_W * time.process_time(), "processor time", "measured")]

    def close(self) -> None: ...


def quick(set_attribute: Any) -> None:
    """`set_attribute`: setattr, or a monkeypatch's."""
    from lowtide.runtime import probe
    from lowtide.search import worker

    set_attribute(worker, "open_sources", lambda: [ProcessorTime()])
    set_attribute(probe, "TURN_S", 0.03)
    set_attribute(probe, "WARM_UP_S", 0.01)


def main(folder: str, budget_g: str) -> None:
    from lowtide.search.run import search

    os.chdir(folder)
    quick(setattr)
    print(json.dumps(search(Path("params.yaml"), float(budget_g))))


if __name__ == "__main__":
    from lowtide.errors import LowtideError

    try:
        main(*sys.argv[1:])
    except LowtideError as error:  # as lowtide.cli.main does
        print(f"lowtide: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
