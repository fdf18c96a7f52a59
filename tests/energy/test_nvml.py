"""The NVML source against a driver library of our own, loaded at the C boundary by pynvml."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.energy.conftest import NAME, Driver, build

NOT_SUPPORTED, NO_PERMISSION, DRIVER_NOT_LOADED, NO_GPUS = 3, 4, 9, 28
GPU_IS_LOST, VERSION_MISMATCH, UNKNOWN = 15, 18, 999
COUNTER, POWER = "nvml energy counter", "nvml power, integrated"

# Reads after each change of the driver's state, a twentieth of a second apart.
READS = """
import json, logging, os, sys, time
from lowtide.energy.nvml import open_gpus
from lowtide.errors import MeterError

def answer(source):
    try:
        (r,) = source.read()
        return [r.component, r.energy_j, r.source, r.provenance]
    except MeterError as error:
        return str(error)

logging.basicConfig(format="%(message)s")
sources, answers = open_gpus(), []
for change in json.loads(sys.argv[1]) if sources else []:
    time.sleep(0.05)
    with open(os.environ["FAKE_NVML"], "a") as file:
        file.writelines(line + "\\n" for line in change)
    answers.append([answer(source) for source in sources])
for source in sources:
    source.close()
print(json.dumps(answers if sources else None))
"""
# The same under a meter: the totals of a run in which the driver's state changes in the middle.
RUN = """
import json, os, sys
from datetime import datetime, timezone
from pathlib import Path
from lowtide.carbon.signal import IntensityValue
from lowtide.clock import ReplayClock
from lowtide.energy.ledger import Ledger
from lowtide.energy.meter import EnergyMeter
from lowtide.energy.nvml import open_gpus

NOON = datetime(2022, 1, 1, 12, tzinfo=timezone.utc)

class Grid:
    def current(self, at):
        return IntensityValue("Z", NOON, NOON, 100.0, "average", "measured", "grid")

with Ledger(Path("ledger.db")) as ledger:
    meter = EnergyMeter(open_gpus(), Grid(), ReplayClock(NOON, 1.0), ledger, 1.0, 3600)
    with meter.window("run", "train") as window:
        for change in json.loads(sys.argv[1]):
            with open(os.environ["FAKE_NVML"], "a") as file:
                file.writelines(line + "\\n" for line in change)
            window.sample()
    totals, again = window.totals(), ledger.totals("run")
assert (totals.energy_kwh, totals.components) == (again.energy_kwh, again.components)
parts = {name: part.energy_kwh for name, part in totals.components.items()}
print(json.dumps([totals.energy_kwh, parts]))
"""
# Who has the driver open: how often it was opened, less how often it was closed.
HOLDERS = """
import json, pynvml
from lowtide.energy.nvml import open_gpus

holders = 0

def counting(call, step):
    def counted():
        global holders
        call()
        holders += step
    return counted

pynvml.nvmlInit = counting(pynvml.nvmlInit, 1)
pynvml.nvmlShutdown = counting(pynvml.nvmlShutdown, -1)
sources, seen = open_gpus(), []
seen.append(holders)
for source in sources:
    source.close()
    seen.append(holders)
print(json.dumps(seen))
"""
Read = Callable[..., tuple[Any, str]]


@pytest.fixture
def read(driver: Driver) -> Read:
    """Of a driver that is first in the one state and then, before each reading, in another: a
    reading or an error of each source."""

    def run(start: list[str], *changes: list[str], **environment: str) -> Any:
        driver.write(*start)
        out, said = driver.run(READS, json.dumps(changes), **environment)
        return json.loads(out), said

    return run


def machine(*gpus: dict[str, int]) -> list[str]:
    """The driver's state with these GPUs."""
    lines = [
        f"{number}.{key} {value}" for number, gpu in enumerate(gpus) for key, value in gpu.items()
    ]
    return [f"count {len(gpus)}", *lines]


def test_each_gpu_counts_from_its_own_start(read: Read) -> None:
    start = machine({"energy": 1_000_000}, {"energy": 5000})
    answers, _ = read(start, ["0.energy 1250000", "1.energy 9000"], [])
    expected = [["gpu0", 250.0, COUNTER, "measured"], ["gpu1", 4.0, COUNTER, "measured"]]
    assert answers == [expected, expected]


@pytest.mark.parametrize("error", [NOT_SUPPORTED, NO_PERMISSION])
def test_without_a_counter_power_is_integrated(read: Read, error: int) -> None:
    answers, _ = read(machine({"energy.error": error, "power": 100_000}), ["0.power 300000"])
    ((component, energy_j, source, provenance),) = answers[0]
    assert (component, source, provenance) == ("gpu0", POWER, "measured")
    assert 200 * 0.05 <= energy_j < 200  # the mean of 100 and 300 W over a twentieth of a second


def test_a_driver_without_the_call_counts_by_power(old_nvml: Path, tmp_path: Path) -> None:
    driver = Driver(old_nvml, tmp_path)
    driver.write(*machine({"power": 200_000}))
    out, _ = driver.run(READS, json.dumps([[]]))
    ((_, energy_j, source, _),) = json.loads(out)[0]
    assert source == POWER
    assert 200 * 0.05 <= energy_j < 200


@pytest.mark.parametrize("now", [0, 899_999])
def test_a_counter_that_goes_back_is_bridged_by_power_and_said(read: Read, now: int) -> None:
    """Then it counts on from where it now is."""
    start = machine({"energy": 900_000, "power": 200_000})
    answers, said = read(start, [f"0.energy {now}"], [f"0.energy {now + 3000}"])
    ((_, bridged_j, bridged_source, _),), ((_, energy_j, source, _),) = answers
    assert 200 * 0.05 <= bridged_j < 200
    assert energy_j == pytest.approx(bridged_j + 3)
    assert (bridged_source, source) == (POWER, COUNTER)
    assert said.count(f"the energy counter of gpu0 went back from 900000 to {now} mJ") == 1


def test_a_counter_that_goes_back_without_power_to_bridge_it_is_unknown(read: Read) -> None:
    start = machine({"energy": 900_000, "power.error": NOT_SUPPORTED})
    answers, _ = read(start, ["0.energy 100"])
    assert "gpu0 tells neither energy nor power" in answers[0][0]


def test_a_counter_that_is_refused_meanwhile_is_bridged_by_power(read: Read) -> None:
    start = machine({"energy": 1000, "power": 200_000})
    answers, _ = read(
        start, [f"0.energy.error {NO_PERMISSION}"], ["0.energy.error 0"], ["0.energy 2000"]
    )
    assert [answer[0][2] for answer in answers] == [POWER, POWER, COUNTER]


@pytest.mark.parametrize("error", [NOT_SUPPORTED, NO_PERMISSION])
def test_a_counter_is_enough(read: Read, error: int) -> None:
    answers, _ = read(machine({"energy": 1000, "power.error": error}), ["0.energy 3000"])
    assert answers == [[["gpu0", 2.0, COUNTER, "measured"]]]


@pytest.mark.parametrize("error", [NOT_SUPPORTED, NO_PERMISSION])
def test_a_gpu_that_tells_nothing_is_no_zero(read: Read, error: int) -> None:
    answers, _ = read(machine({"energy.error": error, "power.error": error}), [])
    assert "gpu0 tells neither energy nor power: where the work" in answers[0][0]


@pytest.mark.parametrize("call", ["energy", "power"])
@pytest.mark.parametrize("error", [GPU_IS_LOST, UNKNOWN])
def test_one_gpu_of_three_that_fails_in_the_middle_fails_alone(
    read: Read, call: str, error: int
) -> None:
    """And its counter bridges a failure that passes."""
    answers, _ = read(
        machine({}, {}, {}),
        ["0.energy 1000", "1.energy 1000", "2.energy 1000"],
        ["0.energy 2000", "2.energy 3000", f"1.{call}.error {error}"],
        [f"1.{call}.error 0", "1.energy 4000"],
    )
    assert "gpu1 stopped answering" in answers[1].pop(1)
    readings = [[reading[1] for reading in answer] for answer in answers]
    assert readings == [[1.0, 1.0, 1.0], [2.0, 3.0], [2.0, 4.0, 3.0]]


@pytest.mark.parametrize("call", ["energy", "power"])
def test_one_gpu_of_two_that_fails_from_the_start_fails_alone(read: Read, call: str) -> None:
    """The reading, not the start."""
    start = machine({}, {f"{call}.error": GPU_IS_LOST})
    ((first, second),), _ = read(start, ["0.energy 1000"])
    assert first == ["gpu0", 1.0, COUNTER, "measured"]
    assert "gpu1 cannot be read (GPU is lost): where the work does not use it" in second


def test_without_a_gpus_handle_it_is_not_known_which_are_meant(read: Read) -> None:
    answers, _ = read(machine({}, {"handle.error": GPU_IS_LOST}), [])
    ((answer,),) = answers
    assert "the GPU driver cannot be read (GPU is lost)" in answer


def test_a_run_whose_gpu_is_lost_in_the_middle_counts_the_other_and_has_no_total(
    driver: Driver,
) -> None:
    driver.write(*machine({}, {}))
    both = ["0.energy 3600000", "1.energy 3600000"]
    lost = ["0.energy 7200000", f"1.energy.error {GPU_IS_LOST}"]
    out, said = driver.run(RUN, json.dumps([both, lost, ["0.energy 10800000"]]))
    assert json.loads(out) == [None, {"gpu0": pytest.approx(0.003), "gpu1": None}]
    assert said.count("metering goes on without a source: gpu1 stopped answering") == 1


def test_a_run_whose_gpu_is_lost_before_it_counts_the_other_and_has_no_total(
    driver: Driver,
) -> None:
    driver.write(*machine({}, {"energy.error": GPU_IS_LOST}))
    out, said = driver.run(RUN, json.dumps([["0.energy 3600000"]]))
    assert json.loads(out) == [None, {"gpu0": pytest.approx(0.001), "unreadable": None}]
    assert said.count("metering goes on without a source: gpu1 cannot be read") == 1


def test_a_run_with_all_its_gpus_has_their_sum(driver: Driver) -> None:
    driver.write(*machine({}, {}))
    out, _ = driver.run(RUN, json.dumps([["0.energy 3600000", "1.energy 7200000"]]))
    parts = {"gpu0": pytest.approx(0.001), "gpu1": pytest.approx(0.002)}
    assert json.loads(out) == [pytest.approx(0.003), parts]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (machine({}, {}), [2, 1, 0]),
        (machine({}, {"energy.error": GPU_IS_LOST}), [2, 1, 0]),
        (machine({}, {"handle.error": GPU_IS_LOST}), [0, 0]),
        (machine(), [0]),
    ],
)
def test_the_driver_is_open_until_the_last_source_is_closed(
    driver: Driver, state: list[str], expected: list[int]
) -> None:
    driver.write(*state)
    assert json.loads(driver.run(HOLDERS)[0]) == expected


@pytest.mark.parametrize("error", [NO_PERMISSION, VERSION_MISMATCH, UNKNOWN])
def test_a_driver_that_will_not_start_leaves_its_gpus_unknown(read: Read, error: int) -> None:
    """They may work all the same: no figure is not the same as no GPU."""
    answers, _ = read([f"init.error {error}"], [])
    assert "the GPU driver cannot be read" in answers[0][0]
    assert "hide it with CUDA_VISIBLE_DEVICES" in answers[0][0]


def test_a_driver_that_has_gone_is_closed_without_a_word(read: Read) -> None:
    answers, said = read(machine({}), [f"shutdown.error {GPU_IS_LOST}"])
    assert (len(answers or ()), said) == (1, "")


@pytest.mark.parametrize("error", [DRIVER_NOT_LOADED, NO_GPUS])
def test_no_driver_is_no_source(read: Read, error: int) -> None:
    assert read([f"init.error {error}"])[0] is None


def test_no_gpu_is_no_source(read: Read) -> None:
    assert read(machine())[0] is None


def test_a_library_that_is_none_is_no_source(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"not a library")
    assert json.loads(Driver(tmp_path, tmp_path).run(READS, "[]")[0]) is None


def test_a_library_of_another_time_leaves_its_gpus_unknown(tmp_path: Path) -> None:
    """It loads, and has none of the calls that pynvml begins with."""
    library = build(tmp_path, "-DnvmlInitWithFlags=nvmlInit_v1")
    out, _ = Driver(library, tmp_path).run(READS, "[[]]")
    assert "the GPU driver cannot be read (Function Not Found)" in json.loads(out)[0][0]
