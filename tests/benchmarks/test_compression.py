"""The table of the compression benchmark, where one seed knows what another does not."""

from typing import Any

import pytest

from benchmarks.compression import _against_peers, _mean, _table

MAKING = {"making_energy_kwh": 0.001, "making_emissions_g": 0.3}


def row(energy_ratio: float | None = 4.0, **more: Any) -> dict[str, Any]:
    return {
        "accuracy": 0.9, "accuracy_delta_points": -0.5, "num_macs": 10, "size_bytes": 20,
        "num_parameters": 5, "latency_ms_p50": 0.1, "energy_ratio": energy_ratio,
        "energy_ratio_torch": 6.0, "provenance": "estimated", **more,
    }  # fmt: skip


@pytest.mark.parametrize("first", [0, 1])
def test_what_one_seed_does_not_know_is_unknown(first: int) -> None:
    """Whichever seed it is, and whether it says None or nothing."""
    rows = [row(4.0, **MAKING, making_time_ratio=0.9), row(5.0, making_energy_kwh=None)]
    found = _mean(rows[first:] + rows[:first])
    assert found["energy_ratio"] == 4.5
    assert sorted(found["energy_ratio_of_seeds"]) == [4.0, 5.0]
    assert found["energy_ratio_sd"] == pytest.approx(0.707, abs=1e-3)
    for key in (*MAKING, "making_time_ratio"):
        assert found[key] is None
    assert found["provenance"] == "estimated"


def test_unknown_joules_leave_an_empty_cell() -> None:
    rows = {"within: chosen": _mean([row(4.0), row(None)]), "NNCF": _mean([row(2.0), row(2.0)])}
    assert rows["within: chosen"]["energy_ratio"] is None
    assert rows["within: chosen"]["energy_ratio_sd"] is None
    assert _against_peers(rows) == [{"peer": "NNCF", "ours": "within: chosen", "times_less": None}]
    table = _table({"data": "digits", "candidates": [{"name": n, **r} for n, r in rows.items()]})
    assert list(table.columns[6].cells) == ["", "2.00"]


def test_the_best_of_ours_as_accurate_as_a_peer_is_held_against_it() -> None:
    ours = {"a: chosen": row(4.0), "b: chosen": row(6.0), "c: chosen": row(9.0, accuracy=0.8)}
    (found,) = _against_peers({**ours, "NNCF": row(2.0)})
    assert found == {"peer": "NNCF", "ours": "b: chosen", "times_less": 3.0}
