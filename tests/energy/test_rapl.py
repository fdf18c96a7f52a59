"""RAPL counters in a folder laid out as the kernel's: two packages, one with DRAM."""

from pathlib import Path

import pytest

from lowtide.energy.rapl import RaplSource
from lowtide.errors import MeterError

RANGE_UJ = 262_143_328_850


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder, name in {
        "intel-rapl:0": "package-0",
        "intel-rapl:0:0": "core",
        "intel-rapl:0:1": "dram",
        "intel-rapl:1": "package-1",
        "intel-rapl:2": "psys",
    }.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "name").write_text(f"{name}\n")
        (tmp_path / folder / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")
        count(tmp_path, folder, 5_000_000)
    (tmp_path / "intel-rapl").mkdir()  # the control type itself has no counter
    return tmp_path


def count(root: Path, folder: str, energy_uj: int) -> None:
    (root / folder / "energy_uj").write_text(f"{energy_uj}\n")


def test_packages_and_dram_count_from_the_start(root: Path) -> None:
    source = RaplSource.open(root)
    assert source is not None
    count(root, "intel-rapl:0", 7_000_000)
    count(root, "intel-rapl:0:0", 6_500_000)  # part of the package
    count(root, "intel-rapl:0:1", 5_500_000)
    found = {reading.component: reading.energy_j for reading in source.read()}
    assert found == {"cpu0": 2.0, "ram0": 0.5, "cpu1": 0.0}
    assert {(r.source, r.provenance) for r in source.read()} == {("rapl counter", "measured")}


def test_a_counter_that_wraps_around_goes_on(root: Path) -> None:
    source = RaplSource.open(root)
    assert source is not None
    count(root, "intel-rapl:0", RANGE_UJ - 1_000_000)
    before = source.read()[0].energy_j
    count(root, "intel-rapl:0", 3_000_000)
    assert source.read()[0].energy_j - before == pytest.approx(4.0)


def test_a_counter_that_goes_away_is_an_error(root: Path) -> None:
    source = RaplSource.open(root)
    assert source is not None
    (root / "intel-rapl:1/energy_uj").unlink()
    with pytest.raises(MeterError, match="cannot be read any more"):
        source.read()


def test_without_counters_there_is_no_source(root: Path, tmp_path: Path) -> None:
    assert RaplSource.open(tmp_path / "nowhere") is None
    (root / "intel-rapl:0/energy_uj").unlink()
    (root / "intel-rapl:0/energy_uj").mkdir()  # as little to be read as a file of root's
    assert RaplSource.open(root) is None
