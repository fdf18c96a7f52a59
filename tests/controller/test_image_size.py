"""Images grow to full size and stay there; the share of pixels is what a step costs about."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowtide.controller.image_size import GRAIN, GROWN, image_scale, image_side, pixel_share

SCALES = st.floats(0.1, 1.0)


@given(full=st.integers(8, 256), scale=SCALES)
def test_a_side_is_a_multiple_between_the_least_and_the_full_one(full: int, scale: float) -> None:
    side = image_side(full, scale)
    assert side <= full
    assert side == full or (side % GRAIN == 0 and side >= min(full, 16))


def test_images_of_digits_are_not_made_smaller() -> None:
    assert image_side(8, 0.5) == 8
    assert [image_side(32, scale) for scale in (0.5, 0.7, 0.8, 1.0)] == [16, 20, 24, 32]


@given(start=SCALES, begin=st.floats(0, 1), later=st.floats(0, 1))
def test_images_only_grow(start: float, begin: float, later: float) -> None:
    early, late = sorted((10 * begin, 10 * later))
    assert image_scale(early, 10.0, start) <= image_scale(late, 10.0, start) <= 1.0


def test_the_last_part_is_trained_at_full_size() -> None:
    assert image_scale(0.0, 10.0, 0.5) == 0.5
    assert image_scale(10.0 * GROWN, 10.0, 0.5) == 1.0


def test_the_share_of_pixels_is_one_where_nothing_grows() -> None:
    assert pixel_share(2.0, 5.0, 10.0, 1.0) == pytest.approx(1.0)
    assert pixel_share(8.0, 9.0, 10.0, 0.5) == pytest.approx(1.0)
    # mean of (0.5 + 0.5 t)^2 over t from 0 to 1 is 7/12
    assert pixel_share(0.0, 10.0 * GROWN, 10.0, 0.5) == pytest.approx(7 / 12, rel=1e-3)
