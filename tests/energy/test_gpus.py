"""Which GPUs are this process's, by CUDA_VISIBLE_DEVICES; read through the driver library."""

import json
from typing import Any

import pytest

from tests.energy.conftest import Driver

NO_PERMISSION, GPU_IS_LOST = 4, 15
PROGRAM = """
import json, logging
from lowtide.energy.nvml import open_gpus
from lowtide.errors import MeterError

logging.basicConfig(format="%(message)s")
try:
    readings = [reading for source in open_gpus() for reading in source.read()]
    print(json.dumps([[r.component, r.source] for r in readings]))
except MeterError as error:
    print(json.dumps(str(error)))
"""
BY_BUS = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def seen(driver: Driver, *state: str, **environment: str) -> tuple[Any, str]:
    """The metered GPUs of three, and what was said."""
    driver.write("count 3", *state)
    out, said = driver.run(PROGRAM, **environment)
    answer = json.loads(out)
    return answer if isinstance(answer, str) else [name for name, _ in answer], said


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        ("1", ["gpu1"]),
        (" 2 , 0", ["gpu0", "gpu2"]),
        ("GPU-1", ["gpu1"]),
        ("GPU-2,GPU-0", ["gpu0", "gpu2"]),
        ("", []),
        (" ", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("7", []),
        ("0,-1,1", ["gpu0"]),
        ("0,7,1", ["gpu0"]),
        ("GPU-9", []),
    ],
)
def test_only_the_gpus_left_to_this_process_count(
    driver: Driver, visible: str, expected: list[str]
) -> None:
    """As CUDA does it, the list ends before the first name that is unknown."""
    assert seen(driver, CUDA_VISIBLE_DEVICES=visible) == (expected, "")


def test_without_the_variable_all_count(driver: Driver) -> None:
    assert seen(driver) == (["gpu0", "gpu1", "gpu2"], "")


def test_a_driver_that_hides_everything_is_not_asked(driver: Driver) -> None:
    assert seen(driver, "init.error 999", CUDA_VISIBLE_DEVICES="") == ([], "")


@pytest.mark.parametrize(
    ("visible", "environment", "expected"),
    [
        ("1", {}, ["gpu0", "gpu1", "gpu2"]),
        ("1", BY_BUS, ["gpu1"]),
        ("GPU-1", {}, ["gpu1"]),
    ],
)
def test_numbers_of_unlike_gpus_count_by_bus_only(
    driver: Driver, visible: str, environment: dict[str, str], expected: list[str]
) -> None:
    """Rather all GPUs than the wrong one, and said so."""
    found, said = seen(driver, "2.model 9", CUDA_VISIBLE_DEVICES=visible, **environment)
    assert found == expected
    assert ("does not tell the driver which GPUs are meant" in said) == (len(expected) == 3)


@pytest.mark.parametrize("visible", ["MIG-a", "MIG-GPU-1/3/0", "GPU-1"])
def test_a_slice_is_metered_as_the_whole_gpu_and_said(driver: Driver, visible: str) -> None:
    driver.write("count 3", "1.mig 1", "MIG-a 1")
    out, said = driver.run(PROGRAM, CUDA_VISIBLE_DEVICES=visible)
    assert json.loads(out) == [["gpu1", "nvml energy counter, whole GPU of a MIG slice"]]
    assert said.count("gpu1 is split by MIG and counts its energy as a whole") == 1


@pytest.mark.parametrize("visible", ["MIG-unknown", "1"])
def test_a_slice_that_cannot_be_traced_counts_all_gpus(driver: Driver, visible: str) -> None:
    """Slices have numbers of their own, so on a machine with any a number tells nothing."""
    found, said = seen(driver, "1.mig 1", CUDA_VISIBLE_DEVICES=visible)
    assert found == ["gpu0", "gpu1", "gpu2"]
    assert "does not tell the driver which GPUs are meant" in said


def test_mig_that_is_off_is_no_slice(driver: Driver) -> None:
    assert seen(driver, "1.mig 0", CUDA_VISIBLE_DEVICES="1") == (["gpu1"], "")


def test_a_gpu_without_permission_is_not_there(driver: Driver) -> None:
    """CUDA cannot use it either."""
    assert seen(driver, f"1.handle.error {NO_PERMISSION}") == (["gpu0", "gpu2"], "")


def test_a_lost_gpu_matters_where_it_may_be_meant(driver: Driver) -> None:
    lost = f"2.handle.error {GPU_IS_LOST}"
    assert seen(driver, lost, CUDA_VISIBLE_DEVICES="1", **BY_BUS)[0] == ["gpu1"]
    assert seen(driver, lost, CUDA_VISIBLE_DEVICES="GPU-1")[0] == ["gpu1"]
    assert "GPU is lost" in seen(driver, lost, CUDA_VISIBLE_DEVICES="GPU-2")[0]
    assert "GPU is lost" in seen(driver, lost, CUDA_VISIBLE_DEVICES="2", **BY_BUS)[0]
