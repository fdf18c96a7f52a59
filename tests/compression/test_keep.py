"""A lower precision stays if it is accurate enough and quicker; the figures are given."""

import pytest

from lowtide.compression.keep import at_will, cheapest, decide, drop_allowed, refused
from lowtide.params import CompressParams, QuantizeParams


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


@pytest.mark.parametrize(
    ("fp32", "roll_back", "allowed"),
    [
        (0.90, True, 0.01),  # as the teacher: its own limit is the stricter one
        (0.88, True, 0.01),  # earlier techniques have left exactly that
        (0.875, True, 0.005),  # they have left less
        (0.865, True, 0.0),  # it came in below the constraint: it may lose nothing more
        (0.92, True, 0.01),
        (0.875, False, 0.005),
        (0.865, False, 0.01),  # kept at will: the shared constraint does not bind
    ],
)
def test_all_techniques_share_what_may_be_lost_against_the_teacher(
    fp32: float, roll_back: bool, allowed: float
) -> None:
    quantize = QuantizeParams(
        calibration_images=8, method="minmax", sensitivity_layers=2, val_accuracy_drop_max=0.01
    )
    compress = CompressParams(
        energy_ratio_min=None, val_accuracy_drop_max=0.03, roll_back=roll_back, num_repeats=2
    )
    assert drop_allowed(fp32, 0.9, quantize, compress) == pytest.approx(allowed)


def test_at_will_it_stays_whatever_it_saves_if_it_runs() -> None:
    lossy, paying = decide(0.5, 0.9, 0.01, 0.9), decide(0.9, 0.9, 0.01, 1.8)
    stays = at_will(lossy)
    assert stays.kept
    assert stays.why == f"{lossy.why}; but compress.roll_back is false"
    assert at_will(paying) == paying
    assert not at_will(refused("no kernel")).kept
    assert cheapest({"int8": stays}) == "int8"
