"""The power limit in a stage: opt-in, said, and back as it was; on a driver library of our own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lowtide.stages.run import run_stage
from tests.energy.conftest import Driver, build

TRAIN = [sys.executable, "-m", "lowtide", "stage", "train"]


@pytest.fixture
def driver(tmp_path_factory: pytest.TempPathFactory) -> Driver:
    folder = tmp_path_factory.mktemp("driver")
    driver = Driver(build(folder), folder)
    driver.write("count 1")
    return driver


@pytest.fixture
def train(driver: Driver, checkout: Path, write_params: Callable[..., Path]) -> Callable[..., str]:
    """What a training stage says on a machine with that driver, by controller settings."""
    write_params()
    run_stage("prepare")
    limits, path = str(driver.folder / "limits"), os.pathsep.join(sys.path)
    environment = {**driver.environment, "LOWTIDE_LIMITS": limits, "PYTHONPATH": path}

    def run(**controller: int) -> str:
        write_params(controller=controller)
        done = subprocess.run(
            TRAIN, cwd=checkout, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    return run


def limits_set(driver: Driver) -> list[str]:
    return [call for call in driver.calls if ".set " in call]


def test_limits_are_tried_from_the_one_that_was_found_down_and_it_comes_back(
    driver: Driver, train: Callable[..., str]
) -> None:
    driver.write("0.limit 250000")
    train(power_limits=3)
    tried = [int(call.split()[-1]) for call in limits_set(driver)]
    assert (tried[0], max(tried), tried[-1]) == (250000, 250000, 250000)
    assert driver.value("0.limit") == 250000


def test_nobody_asks_for_it_by_default(driver: Driver, train: Callable[..., str]) -> None:
    train()
    assert limits_set(driver) == []


def test_without_permission_training_goes_on_and_says_why(
    driver: Driver, train: Callable[..., str]
) -> None:
    driver.write("0.set.error 4")
    said = train(power_limits=3)
    assert "power limits are not changed" in said
    assert "the power limit stays as it is" in said
