"""Joules are shared out over requests and images; what no source tells stays unknown."""

import math

import pytest

from lowtide.clock import SystemClock
from lowtide.energy.counting import CountingWindow
from lowtide.energy.sources import KWH_IN_J, Reading
from lowtide.errors import MeterError
from lowtide.serving.account import EnergyAccount
from lowtide.serving.metrics import Metrics
from lowtide.serving.present import PresentIntensity
from tests.serving.fixed import FixedGrid


class Joules:
    """A source that is told what it counts; None: it has gone."""

    energy_j: float | None = 100.0

    def read(self) -> list[Reading]:
        if self.energy_j is None:
            raise MeterError("unplugged")
        return [Reading("cpu", self.energy_j, "told", "estimated")]

    def close(self) -> None: ...


def shown(metrics: Metrics, name: str) -> float:
    """The value at /metrics."""
    lines = metrics.render().decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def intensity(metrics: Metrics) -> PresentIntensity:
    present = PresentIntensity(FixedGrid(200), SystemClock(), metrics, pue=1.5)
    present.ask()
    return present


def test_joules_and_grams_of_late(metrics: Metrics, intensity: PresentIntensity) -> None:
    source, account = Joules(), EnergyAccount(metrics, intensity)
    window = CountingWindow([source])
    for energy_j in (108.0, 116.0):
        account.note_request()
        account.note_run(3, 0.001)
        account.note_run(1, 0.001)
        source.energy_j = energy_j
        account.sample(window)
    assert account.lately.request_energy_j == pytest.approx(8)
    assert account.lately.image_energy_j == pytest.approx(2)
    assert account.lately.batch_images == 2
    in_runtime = account.lately.inference_energy_j
    assert in_runtime is not None
    assert 0 < in_runtime < 2, "HTTP has its part"
    assert account.emissions_g(8) == pytest.approx(8 / KWH_IN_J * 1.5 * 200)
    assert shown(metrics, 'lowtide_energy_joules_total{provenance="estimated"}') == pytest.approx(
        16
    )
    assert shown(metrics, "lowtide_request_energy_joules") == pytest.approx(8)


def test_what_opening_a_model_took_is_not_its_answers(
    metrics: Metrics, intensity: PresentIntensity
) -> None:
    source, account = Joules(), EnergyAccount(metrics, intensity)
    window = CountingWindow([source])
    told = []
    for energy_j, begins in ((108.0, False), (508.0, True), (510.0, False)):
        if begins:
            account.begin_anew()
        account.note_run(1, 0.001)
        source.energy_j = energy_j
        account.sample(window)
        told.append(account.lately.image_energy_j)
    assert told == [pytest.approx(8), None, pytest.approx(2)]
    assert shown(metrics, 'lowtide_energy_joules_total{provenance="estimated"}') == pytest.approx(
        410
    )


def test_a_lost_source_makes_it_unknown(metrics: Metrics, intensity: PresentIntensity) -> None:
    source, account = Joules(), EnergyAccount(metrics, intensity)
    window = CountingWindow([source])
    account.note_request()
    source.energy_j = None
    account.sample(window)
    assert (account.lately.request_energy_j, account.provenance) == (None, "unknown")


def test_an_intensity_that_is_lost_is_unknown_not_old(metrics: Metrics) -> None:
    grid = FixedGrid(200)
    present = PresentIntensity(grid, SystemClock(), metrics)
    present.ask()
    assert present.g_per_kwh == 200
    grid.intensity_g_per_kwh = None
    present.ask()
    assert present.g_per_kwh is None
    account = EnergyAccount(metrics, present)
    assert account.emissions_g(8) is None
    assert math.isnan(shown(metrics, "lowtide_intensity_g_per_kwh"))
