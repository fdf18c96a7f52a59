"""What a server tells of itself, judged: drift and joules, each with its reason."""

from typing import Any

import numpy as np
import pytest

from lowtide.errors import DataError
from lowtide.serving.drift import image_statistics
from lowtide.serving.model import Figures
from lowtide.serving.watch import Found, judge_served

GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.integers(0, 256, (1000, 1, 8, 8), dtype=np.uint8)
LABELS = GENERATOR.integers(0, 4, 1000)
UNKNOWN = Figures()


def judged(gated: Figures = UNKNOWN, **changes: Any) -> Found:
    served: dict[str, Any] = {
        "statistics": image_statistics(IMAGES[:500]).tolist(),
        "labels": LABELS[:500].tolist(),
        "inference_energy_j": 0.02,
        "recorded_inference_energy_j": 0.01,
        "batch_cost_ratio": 1.0,
        "batch_images": 1.0,
        "batch_cost": {"one_s": 4.2, "largest_s": 67.2, "largest": 64},
        "num_images": 500,
    }
    return judge_served(
        served | changes, image_statistics(IMAGES), LABELS,
        gated=gated, distance_max=0.2, energy_ratio_max=3.0,
    )  # fmt: skip


def test_images_like_those_of_training_at_the_usual_cost_are_nothing_to_act_on() -> None:
    found = judged()
    assert (found.drift.drifted, found.energy_ratio, found.reasons) == (False, 2.0, ())
    assert found.text().startswith("nothing to act on")


def test_drift_and_joules_are_named() -> None:
    dark = image_statistics(IMAGES[:500] // 2).tolist()
    found = judged(statistics=dark, inference_energy_j=0.05)
    assert found.reasons == (
        "input drift: mean of channel 0, deviation of channel 0",
        "5.00 times the recorded joules per inference",
    )
    assert found.to_json()["drift"]["drifted"] is True
    assert "| mean of channel 0 |" in found.text()


@pytest.mark.parametrize(
    "changes",
    [
        {"inference_energy_j": None},
        {"recorded_inference_energy_j": None},
        {"num_images": 5},
        {"batch_cost_ratio": None},
    ],
)
def test_unknown_joules_are_no_reason(changes: dict[str, Any]) -> None:
    found = judged(**changes)
    assert (found.energy_ratio, found.reasons) == (None, ())
    assert "recorded: unknown" in found.text()


def test_images_that_come_alone_may_take_what_small_batches_take() -> None:
    assert judged(inference_energy_j=0.05, batch_cost_ratio=2.5).energy_ratio == 2.0


@pytest.mark.parametrize(("batch_size", "ratio"), [(1, 4.0), (64, 1.0), (None, None)])
def test_the_checkouts_own_figure_stands_in_where_the_registry_has_none(
    batch_size: int | None, ratio: float | None
) -> None:
    """Images came alone, and take 4 times as much as in batches of 64."""
    gated = Figures(inference_energy_j=0.005, batch_size=batch_size)
    found = judged(gated, recorded_inference_energy_j=None, batch_cost_ratio=None)
    assert found.energy_ratio == (None if ratio is None else pytest.approx(ratio))


def test_a_server_that_has_seen_nothing_tells_nothing() -> None:
    found = judged(statistics=[], labels=[], num_images=0)
    assert (found.drift.drifted, found.reasons) == (None, ())


@pytest.mark.parametrize(
    "served", [{}, [], {"statistics": "x"}, {"statistics": [], "labels": [None]}]
)
def test_the_answer_of_another_server_is_said_to_be_that(served: Any) -> None:
    with pytest.raises(DataError, match="not that of `lowtide serve`") as caught:
        judge_served(
            served, image_statistics(IMAGES), LABELS,
            gated=UNKNOWN, distance_max=0.2, energy_ratio_max=3.0,
        )  # fmt: skip
    assert len(str(caught.value).splitlines()) == 1
