"""A command gets its share of the machine's joules, once, and a GPU whole."""

import time

import pytest

from lowtide.energy.process_tree import ProcessTreeSource, busy_cpu_s
from lowtide.energy.sources import Reading
from lowtide.errors import MeterError


class Machine:
    """Joules and CPU seconds, all set by hand."""

    def __init__(self) -> None:
        self.cpu_j, self.gpu_j, self.busy_s, self.tree_s = 1000.0, 500.0, 100.0, 7.0
        self.closed = self.gone = False

    def read(self) -> list[Reading]:
        if self.gone:
            raise MeterError("unplugged")
        return [
            Reading("cpu", self.cpu_j, "counter", "measured"),
            Reading("gpu0", self.gpu_j, "nvml", "measured"),
        ]

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def source(machine: Machine) -> ProcessTreeSource:
    made = ProcessTreeSource(machine, lambda: machine.tree_s, lambda: machine.busy_s)
    made.read()
    return made


def joules(source: ProcessTreeSource) -> float:
    return source.read()[0].energy_j


def test_the_share_of_each_interval_is_applied_to_its_joules(
    machine: Machine, source: ProcessTreeSource
) -> None:
    machine.cpu_j, machine.busy_s, machine.tree_s = 1100, 110, 12  # half of 100 J
    assert joules(source) == pytest.approx(50)
    machine.cpu_j, machine.busy_s, machine.tree_s = 1300, 120, 13  # a tenth of 200 J
    assert joules(source) == pytest.approx(70)


def test_what_was_used_before_the_first_read_is_not_the_commands(machine: Machine) -> None:
    source = ProcessTreeSource(machine, lambda: machine.tree_s, lambda: machine.busy_s)
    machine.cpu_j, machine.busy_s, machine.tree_s = 2000, 110, 17
    assert joules(source) == 0


def test_a_stopped_command_gets_nothing(machine: Machine, source: ProcessTreeSource) -> None:
    machine.cpu_j, machine.busy_s = 5000, 200
    assert joules(source) == 0


def test_a_share_is_never_above_one(machine: Machine, source: ProcessTreeSource) -> None:
    machine.cpu_j, machine.busy_s, machine.tree_s = 1100, 101, 12
    assert joules(source) == pytest.approx(100)


def test_a_dip_of_the_tree_is_not_counted_twice(
    machine: Machine, source: ProcessTreeSource
) -> None:
    machine.cpu_j, machine.busy_s, machine.tree_s = 1100, 110, 17
    assert joules(source) == pytest.approx(100)
    machine.cpu_j, machine.busy_s, machine.tree_s = 1200, 120, 9
    assert joules(source) == pytest.approx(100)
    machine.cpu_j, machine.busy_s, machine.tree_s = 1300, 130, 18
    assert joules(source) == pytest.approx(110)


def test_figures_say_what_was_done_to_them(machine: Machine, source: ProcessTreeSource) -> None:
    machine.gpu_j = 650
    cpu, gpu = source.read()
    assert (cpu.source, cpu.provenance) == ("counter, process tree share", "estimated")
    assert (gpu.source, gpu.provenance) == ("nvml, whole device", "measured")
    assert gpu.energy_j == 650


def test_a_source_that_has_gone_is_reported_and_closing_is_passed_on(
    machine: Machine, source: ProcessTreeSource
) -> None:
    machine.gone = True
    with pytest.raises(MeterError):
        source.read()
    source.close()
    assert machine.closed


def test_the_machine_is_busy_while_something_works() -> None:
    before, until_s = busy_cpu_s(), time.process_time() + 0.3
    while time.process_time() < until_s:
        pass
    assert busy_cpu_s() - before >= 0.2
