"""The NVML source against a driver library of our own, loaded at the C boundary by pynvml."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

NOT_SUPPORTED, NO_PERMISSION, GPU_IS_LOST, DRIVER_NOT_LOADED = 3, 4, 15, 9

# Reads twice, a tenth of a second apart; argv[2] becomes the driver's state in between.
PROGRAM = """
import json, os, sys, time
from lowtide.energy.nvml import NvmlSource
from lowtide.errors import MeterError

def set_state(text):
    with open(os.environ["FAKE_NVML"], "w") as file:
        file.write(text)

set_state(sys.argv[1])
source = NvmlSource.open()
if source is None:
    print(json.dumps(None))
    sys.exit()
time.sleep(0.1)
set_state(sys.argv[2])
try:
    readings = [[r.component, r.energy_j, r.source, r.provenance] for r in source.read()]
    again = [r.energy_j for r in source.read()]
    print(json.dumps({"readings": readings, "again": again}))
except MeterError as error:
    print(json.dumps({"error": str(error)}))
source.close()
"""
Read = Callable[..., dict[str, object] | None]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("gcc") is None:
        pytest.skip("no gcc to build the driver library with")
    target = tmp_path_factory.mktemp("nvml") / "libnvidia-ml.so.1"
    source = Path(__file__).with_name("fake_nvml.c")
    command = ["gcc", "-shared", "-fPIC", "-Wall", "-Werror", "-o", str(target), str(source)]
    subprocess.run(command, check=True)
    return target


@pytest.fixture
def read(library: Path, tmp_path: Path) -> Read:
    def run(before: str, after: str = "", **environment: str) -> dict[str, object] | None:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, before, after],
            env={
                **os.environ,
                "LD_LIBRARY_PATH": str(library.parent),
                "FAKE_NVML": str(tmp_path / "state"),
                **environment,
            },
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        answer: dict[str, object] | None = json.loads(done.stdout)
        return answer

    return run


def state(*gpus: str, init: int = 0) -> str:
    return "\n".join([str(init), *gpus])


def test_each_gpu_counts_from_its_own_start(read: Read) -> None:
    answer = read(
        state("1000000 0 300000 0", "5000 0 80000 0"), state("1250000 0 310000 0", "9000 0 90000 0")
    )
    assert answer is not None
    assert answer["readings"] == [
        ["gpu0", 250.0, "nvml energy counter", "measured"],
        ["gpu1", 4.0, "nvml energy counter", "measured"],
    ]
    assert answer["again"] == [250.0, 4.0]


def test_without_a_counter_power_is_integrated(read: Read) -> None:
    answer = read(state(f"0 {NOT_SUPPORTED} 100000 0"), state(f"0 {NOT_SUPPORTED} 300000 0"))
    assert answer is not None
    ((component, energy_j, source, provenance),) = answer["readings"]  # type: ignore[attr-defined]
    assert (component, source, provenance) == ("gpu0", "nvml power, integrated", "measured")
    assert 200 * 0.09 < energy_j < 200 * 1.0  # the mean of 100 and 300 W over a tenth of a second


def test_a_counter_that_goes_backwards_is_bridged_and_never_subtracted(read: Read) -> None:
    answer = read(state("900000 0 200000 0"), state("100 0 200000 0"))
    assert answer is not None
    ((_, energy_j, _, _),) = answer["readings"]  # type: ignore[attr-defined]
    assert 200 * 0.09 < energy_j < 200 * 1.0


def test_a_driver_that_dies_is_named(read: Read) -> None:
    answer = read(state("1000 0 100000 0"), state(f"1000 {GPU_IS_LOST} 100000 {GPU_IS_LOST}"))
    assert answer is not None
    assert "stopped answering" in str(answer["error"])


def test_no_driver_and_no_gpu_is_no_source(read: Read) -> None:
    assert read(state(init=DRIVER_NOT_LOADED)) is None
    assert read(state()) is None


@pytest.mark.parametrize("error", [NOT_SUPPORTED, NO_PERMISSION])
def test_a_counter_is_enough(read: Read, error: int) -> None:
    answer = read(state(f"1000 0 0 {error}"), state(f"3000 0 0 {error}"))
    assert answer is not None
    assert answer["readings"] == [["gpu0", 2.0, "nvml energy counter", "measured"]]


def test_a_gpu_that_tells_nothing_is_no_zero(read: Read) -> None:
    blind = state(f"0 {NOT_SUPPORTED} 0 {NOT_SUPPORTED}")
    answer = read(blind, blind)
    assert answer is not None
    assert "gpu0 tells neither energy nor power" in str(answer["error"])


def test_a_driver_that_fails_from_the_start_fails_the_reading_not_the_start(read: Read) -> None:
    lost = state(f"0 {GPU_IS_LOST} 0 {GPU_IS_LOST}")
    answer = read(lost, lost)
    assert answer is not None
    assert "the GPU driver cannot be read" in str(answer["error"])


@pytest.mark.parametrize("visible", ["1", "GPU-1"])
def test_only_the_gpus_left_to_this_process_count(read: Read, visible: str) -> None:
    before, after = state("0 0 1 0", "0 0 1 0"), state("7000 0 1 0", "2000 0 1 0")
    answer = read(before, after, CUDA_VISIBLE_DEVICES=visible)
    assert answer is not None
    assert [reading[:2] for reading in answer["readings"]] == [["gpu1", 2.0]]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("environment", "components"),
    [
        ({"CUDA_VISIBLE_DEVICES": "1", "FAKE_MODELS": "AB"}, ["gpu0", "gpu1"]),
        (
            {"CUDA_VISIBLE_DEVICES": "1", "FAKE_MODELS": "AB", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"},
            ["gpu1"],
        ),
        ({"CUDA_VISIBLE_DEVICES": "GPU-1", "FAKE_MODELS": "AB"}, ["gpu1"]),
        ({"CUDA_VISIBLE_DEVICES": "MIG-5"}, ["gpu0", "gpu1"]),
    ],
)
def test_rather_all_gpus_than_the_wrong_one(
    read: Read, environment: dict[str, str], components: list[str]
) -> None:
    gpus = state("0 0 1 0", "0 0 1 0")
    answer = read(gpus, gpus, **environment)
    assert answer is not None
    assert [reading[0] for reading in answer["readings"]] == components  # type: ignore[attr-defined]
