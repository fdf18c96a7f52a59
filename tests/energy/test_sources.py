"""How fine a source is, by the name that the ledger keeps of it."""

from types import SimpleNamespace

import pytest

from lowtide.energy import nvml, rapl
from lowtide.energy.codecarbon import CodeCarbonSource
from lowtide.energy.process_tree import ProcessTreeSource
from lowtide.energy.sources import resolution_s


@pytest.mark.parametrize("name", [nvml.COUNTER, nvml.POWER, rapl.COUNTER])
def test_every_counter_is_known(name: str) -> None:
    assert (resolution_s(name) or 0) > 0


def test_a_mean_over_a_second_is_coarser_than_a_counter() -> None:
    assert (resolution_s(nvml.POWER) or 0) > (resolution_s(nvml.COUNTER) or 0)


def test_a_share_of_an_estimate_is_as_coarse_as_the_estimate() -> None:
    latest = SimpleNamespace(total=None)

    def flush() -> None:
        latest.total = SimpleNamespace(cpu_energy=1.0, ram_energy=1.0)

    inner = CodeCarbonSource(SimpleNamespace(flush=flush), latest, "3.3.2")
    readings = [*inner.read(), *ProcessTreeSource(inner, lambda: 0.0).read()]
    assert {resolution_s(reading.source) for reading in readings} == {0.05}


def test_of_a_source_that_is_not_known_nothing_is_said() -> None:
    assert resolution_s("none any more") is None
