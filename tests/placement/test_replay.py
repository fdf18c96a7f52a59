"""Intensity from traces, now and then; a day on two grids that are clean in turns."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lowtide.errors import CarbonError
from lowtide.placement.intensity import open_grids, read_intensity
from lowtide.placement.replay import replay_day
from lowtide.placement.sites import Sites, load_sites
from tests.placement.files import START, site, sites_content, write_sites, write_trace

WEEK = timedelta(weeks=1)


@pytest.fixture
def sites(tmp_path: Path) -> Sites:
    """north is clean by night, south by day, east never; south's record is a week older."""
    night = [50.0 if hour % 24 < 12 else 500.0 for hour in range(48)]
    write_trace(tmp_path / "north.csv", night)
    write_trace(tmp_path / "south.csv", [550.0 - level for level in night], START - WEEK)
    write_trace(tmp_path / "east.csv", [600.0] * 48)
    content = sites_content(
        {
            "north": site(trace="north.csv"),
            "south": site(trace="south.csv", trace_weeks_older=1),
            "east": site(trace="east.csv"),
        }
    )
    return load_sites(write_sites(tmp_path / "sites.yaml", content))


def test_a_trace_stands_for_a_later_time(sites: Sites) -> None:
    known = read_intensity(sites, open_grids(sites, START), START + timedelta(hours=13))
    assert known.g_per_kwh == {"north": 500.0, "south": 50.0, "east": 600.0}


def test_without_a_trace_a_replay_takes_the_typical_profile(sites: Sites) -> None:
    bare = sites.model_copy(
        update={"sites": {"north": sites.sites["north"].model_copy(update={"trace": None})}}
    )
    known = read_intensity(bare, open_grids(bare, START), START)
    assert "typical" in known.values["north"].source


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"zone": "XX-NOWHERE", "trace": None}, "XX-NOWHERE"),
        ({"trace": Path("no.csv")}, "there is no trace at no.csv"),
    ],
)
def test_a_site_without_data_is_refused_or_left_out(
    sites: Sites, change: dict[str, Any], why: str
) -> None:
    north = sites.sites["north"].model_copy(update=change)
    blind = sites.model_copy(update={"sites": {**sites.sites, "north": north}})
    with pytest.raises(CarbonError, match=r"site north: .*without_intensity: exclude"):
        read_intensity(blind, open_grids(blind, START), START)
    lenient = blind.model_copy(update={"without_intensity": "exclude"})
    known = read_intensity(lenient, open_grids(lenient, START), START)
    assert list(known.sites.sites) == ["south", "east"]
    assert list(known.left_out) == ["north"]
    assert why in known.left_out["north"]


def test_no_data_at_all_is_refused_even_so(sites: Sites) -> None:
    lenient = sites.model_copy(update={"without_intensity": "exclude"})
    late = START + timedelta(days=30)
    with pytest.raises(CarbonError, match="no site has an intensity"):
        read_intensity(lenient, open_grids(lenient, late), late)


def test_a_day_is_charged_with_what_the_grid_was(sites: Sites) -> None:
    found = replay_day(sites, START + timedelta(hours=1), lag_hours=0)
    figures = found["policies"]
    assert found["num_hours"] == 24
    assert found["mip_gap"] == 0
    assert figures["equal-split"]["saving_vs_equal_split"] == 0
    assert figures["least-latency"]["saving_vs_least_latency"] == 0
    assert figures["lowtide"]["saving_vs_least_latency"] > 0
    assert figures["lowtide"]["saving_vs_equal_split"] > 0.5
    assert figures["lowtide"]["share_over_limit"] == 0
    assert figures["lowtide"]["latency_ms_p95_max"] == 20
    assert figures["lowtide"]["moved_share_per_hour"] > 0
    requests = {figure["num_requests"] for figure in figures.values()}
    assert len({round(number) for number in requests}) == 1


def test_a_day_says_who_was_left_out(sites: Sites) -> None:
    north = sites.sites["north"].model_copy(update={"trace": Path("no.csv")})
    blind = sites.model_copy(
        update={"sites": {**sites.sites, "north": north}, "without_intensity": "exclude"}
    )
    found = replay_day(blind, START + timedelta(hours=1))
    assert found["left_out"] == {
        "north": "in 24 of 24 hours: there is no trace at no.csv: name an existing file"
    }
    assert replay_day(sites, START + timedelta(hours=1))["left_out"] == {}


def test_what_was_an_hour_ago_saves_less_than_what_is(sites: Sites) -> None:
    start = START + timedelta(hours=1)
    late, now = (replay_day(sites, start, lag)["policies"] for lag in (1.0, 0.0))
    assert late["lowtide"]["emissions_g"] > now["lowtide"]["emissions_g"]
    assert late["equal-split"] == now["equal-split"]


def test_steady_shares_move_less_and_still_save(sites: Sites) -> None:
    figures = replay_day(sites, START + timedelta(hours=1))["policies"]
    steady = figures["lowtide-steady"]
    assert steady["moved_share_per_hour"] <= figures["lowtide"]["moved_share_per_hour"] + 1e-9
    assert 0 < steady["saving_vs_equal_split"] <= figures["lowtide"]["saving_vs_equal_split"] + 0.02
