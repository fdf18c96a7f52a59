"""A lower precision stays if it is accurate enough and quicker; the figures are given."""

import pytest

from lowtide.compression.keep import cheapest, decide, refused


def test_quicker_and_accurate_is_kept() -> None:
    found = decide(0.895, 0.9, drop_max=0.01, times_less=1.8)
    assert found.kept
    assert found.accuracy_drop == pytest.approx(0.005)
    assert found.why == "takes 1.80 times less than fp32, loses 0.0050 of accuracy"


@pytest.mark.parametrize("times_less", [0.5, 1.0, 1.02])
def test_what_is_not_quicker_is_rolled_back(times_less: float) -> None:
    found = decide(0.9, 0.9, drop_max=0.01, times_less=times_less)
    assert not found.kept
    assert (
        found.why == f"saves nothing: takes {times_less:.2f} times less than fp32 on this runtime"
    )


def test_what_loses_too_much_is_rolled_back_however_quick() -> None:
    found = decide(0.88, 0.9, drop_max=0.01, times_less=5.0)
    assert not found.kept
    assert found.why == "loses 0.0200 of accuracy, 0.01 is allowed"


def test_more_accurate_than_fp32_is_no_loss() -> None:
    assert decide(0.91, 0.9, drop_max=0.0, times_less=1.1).kept


def test_the_quickest_of_those_kept_is_taken() -> None:
    quick = decide(0.5, 0.9, drop_max=0.01, times_less=9.0)
    int8, half = (decide(0.9, 0.9, drop_max=0.01, times_less=value) for value in (1.8, 1.9))
    candidates = {"int8": int8, "float16": half, "bfloat16": refused("no kernel")}
    assert cheapest(candidates) == "float16"
    assert cheapest(candidates | {"float16": quick}) == "int8"
    assert cheapest({"int8": quick, "bfloat16": refused("no kernel")}) == "fp32"
