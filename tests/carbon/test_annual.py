"""The packaged annual table, and values that never change."""

import csv
from datetime import UTC, datetime, timedelta
from importlib import resources
from itertools import pairwise

import pytest

from lowtide.carbon.annual import FlatSource, annual_source
from lowtide.errors import CarbonError

AT = datetime(2026, 3, 10, 12, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "level"), [("GB", 237.6), ("FR", 56.0), ("US-CISO", 369.5), ("GB-RG41", 237.6)]
)
def test_a_zone_has_its_countrys_mean(zone: str, level: float) -> None:
    value = annual_source(zone).current(AT)
    assert (value.zone, value.intensity_g_per_kwh) == (zone, level)
    assert (value.kind, value.basis, value.status) == ("average", "lifecycle", "estimated")
    assert "2023" in value.source
    assert "CC BY 4.0" in value.source


@pytest.mark.parametrize("zone", ["CAISO_NORTH", "northeurope", "CF", "", "-GB"])
def test_no_country_no_value(zone: str) -> None:
    with pytest.raises(CarbonError, match="names no country"):
        annual_source(zone)


def test_every_row_of_the_table_is_plausible_and_says_where_it_is_from() -> None:
    text = (resources.files("lowtide.carbon") / "annual.csv").read_text("utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    assert len(rows) > 200
    assert len({row["country"] for row in rows}) == len(rows)
    for row in rows:
        assert 0 < float(row["g_per_kwh"]) < 1500
        assert 2020 <= int(row["year"]) <= 2030
        assert (len(row["country"]), row["licence"]) == (2, "CC BY 4.0")


def test_a_flat_forecast_covers_what_was_asked() -> None:
    values = FlatSource("Z", 300.0, "constant", "unknown").forecast(AT, 5.5)
    assert values[0].start <= AT
    assert values[-1].end >= AT + timedelta(hours=5.5)
    assert all(a.end == b.start for a, b in pairwise(values))
