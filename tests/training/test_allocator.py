"""Freed memory stays: the same sizes asked for again cost no page faults."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
from lowtide.training.allocator import keep_freed_memory
{call}
def step():
    return [bytearray(size * 2**20) for size in (20, 24, 28)]
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(call: str) -> int:
    program = FAULTS.format(call=call)
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc only")
def test_it_spares_the_page_faults_of_a_step() -> None:
    assert faults("keep_freed_memory()") < 0.1 * faults("")
