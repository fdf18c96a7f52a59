"""The power limit in a stage: opt-in, said, and back as it was; on a driver library of our own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.energy.conftest import Driver, build

TRAIN = [sys.executable, "-m", "lowtide", "stage", "train"]


@pytest.fixture
def driver(tmp_path_factory: pytest.TempPathFactory) -> Driver:
    folder = tmp_path_factory.mktemp("driver")
    driver = Driver(build(folder), folder)
    driver.write("count 1")
    return driver


def train(driver: Driver, checkout: Path) -> str:
    """What a training stage says on a machine with that driver."""
    limits = str(driver.folder / "limits")
    path = os.pathsep.join(sys.path)
    environment = {**driver.environment, "LOWTIDE_LIMITS": limits, "PYTHONPATH": path}
    for stage in ("prepare", "train"):
        command = [*TRAIN[:-1], stage]
        done = subprocess.run(
            command, cwd=checkout, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    return done.stderr


def limits_set(driver: Driver) -> list[str]:
    return [call for call in driver.calls if ".set " in call]


def test_limits_are_tried_from_the_one_that_was_found_down_and_it_comes_back(
    driver: Driver, checkout: Path, write_params: Callable[..., Path]
) -> None:
    driver.write("0.limit 250000")
    write_params(controller={"power_limits": 3})
    train(driver, checkout)
    tried = [int(call.split()[-1]) for call in limits_set(driver)]
    assert (tried[0], max(tried), tried[-1]) == (250000, 250000, 250000)
    assert driver.value("0.limit") == 250000


def test_nobody_asks_for_it_by_default(
    driver: Driver, checkout: Path, write_params: Callable[..., Path]
) -> None:
    write_params()
    train(driver, checkout)
    assert limits_set(driver) == []


def test_without_permission_training_goes_on_and_says_why(
    driver: Driver, checkout: Path, write_params: Callable[..., Path]
) -> None:
    driver.write("0.set.error 4")
    write_params(controller={"power_limits": 3})
    said = train(driver, checkout)
    assert "power limits are not changed" in said
    assert "the power limit stays as it is" in said
