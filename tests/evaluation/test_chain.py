"""The chain's table: every figure of a candidate over the teacher's."""

import pytest

from lowtide.evaluation.chain import FIGURES, chain_rows, times_less
from lowtide.runtime.probe import Turns

TEACHER = {"num_macs": 1000, "num_parameters": 50, "size_bytes": 400}
STUDENT = {"num_macs": 100, "num_parameters": 10, "size_bytes": 200}


def turns(seconds: float, joules: float | None) -> Turns:
    return Turns([seconds] * 4, [seconds / 2] * 4, [joules] * 4)


def test_times_less_is_the_teacher_over_the_candidate() -> None:
    ratios = times_less(TEACHER, STUDENT, turns(0.4, 6.0), turns(0.1, 2.0))
    assert ratios == pytest.approx(
        {
            "num_macs": 10, "num_parameters": 5, "size_bytes": 2, "latency_ms_p50": 4,
            "inference_time_s": 4, "inference_energy_j": 3, "inference_energy_j_low": 3,
            "inference_energy_j_high": 3,
        }
    )  # fmt: skip


def test_unknown_joules_leave_their_ratio_unknown() -> None:
    ratios = times_less(TEACHER, STUDENT, turns(0.4, None), turns(0.1, 2.0))
    assert ratios["inference_energy_j"] is None
    assert ratios["inference_time_s"] == pytest.approx(4)


def test_a_row_has_figures_and_both_comparisons() -> None:
    ratios = {"teacher_torch": {"num_macs": 10.0}, "teacher": {"num_macs": 8.0}}
    figures = {**dict.fromkeys(FIGURES, 1.0), "recall_per_class": [1.0], "times_less": ratios}
    (row,) = chain_rows({"int8": figures})
    assert row["candidate"] == "int8"
    assert row["num_macs_times_less_than_teacher_torch"] == 10
    assert row["num_macs_times_less_than_teacher"] == 8
    assert "recall_per_class" not in row
