import subprocess
import sys

from tests.conftest import ROOT

FLOWS = "flows.pipeline, flows.promote, flows.rollback, flows.balance, flows.watch"


def test_flows_start_without_torch_which_is_for_their_stages() -> None:
    program = f"import sys, {FLOWS}; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
