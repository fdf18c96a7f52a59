"""What layers lose is measured, and makes of importance an estimate of the loss."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lowtide.compression.sensitivity import Sensitivity, estimated_loss, measure_sensitivity
from lowtide.errors import ModelError
from lowtide.models.factory import Classifier
from lowtide.objective.groups import ChannelGroup, find_groups
from lowtide.objective.removal import take_out
from lowtide.training.step import evaluate
from tests.compression.pruning import batches
from tests.objective.nets import SHAPE, made


def of(num_channels: int, num_blocks: int = 1) -> ChannelGroup:
    return ChannelGroup("0", num_channels, ("0",), ("0",), {}, num_blocks, 1)


def test_the_rise_is_that_of_the_network_without_the_channels() -> None:
    """Against channels that were physically removed."""
    model = Classifier(made("residual"), (127.0,) * 3, (64.0,) * 3)
    groups, images = find_groups(model, SHAPE)[0][:1], batches(SHAPE)
    score = torch.rand(groups[0].num_channels)
    (found,) = measure_sensitivity(model, groups, [score], images)
    assert found.layer == groups[0].root
    whole = evaluate(model, images, torch.device("cpu"), "fp32")[0]
    take_out(model, SHAPE, groups, [groups[0].in_turns(score)[: len(score) // 2]])
    half = evaluate(model, images, torch.device("cpu"), "fp32")[0]
    assert found.rises[0.5] == pytest.approx(half - whole, rel=1e-3, abs=1e-5)
    assert [*found.rises] == [0.25, 0.5, 0.75]


def test_the_estimate_goes_through_what_was_measured() -> None:
    sensitivity = Sensitivity("0", 8, {0.25: 0.1, 0.5: 0.3, 0.75: 0.8})
    loss = estimated_loss(of(8), torch.arange(8.0), sensitivity)
    assert len(loss) == 9
    assert loss[[0, 2, 4, 6]] == pytest.approx([0.0, 0.1, 0.3, 0.8], abs=1e-5)
    assert loss[8] > 0.8


def test_where_as_many_leave_each_block_that_is_what_is_estimated() -> None:
    """The first block matters less, but cannot leave alone."""
    score = torch.tensor([0.0, 1.0, 3.0, 6.0])
    assert estimated_loss(of(4, num_blocks=2), score, None)[[2, 4]] == pytest.approx([0.3, 1.0])
    assert estimated_loss(of(4), score, None)[[2, 4]] == pytest.approx([0.1, 1.0])


@given(
    st.lists(st.floats(0, 1e3), min_size=2, max_size=40),
    st.lists(st.floats(-1, 5), min_size=3, max_size=3) | st.none(),
)
def test_more_channels_lost_is_never_less_loss(
    scores: list[float], rises: list[float] | None
) -> None:
    """Whatever was measured, and where channels are of no importance at all."""
    measured = None if rises is None else dict(zip((0.25, 0.5, 0.75), rises, strict=True))
    sensitivity = None if measured is None else Sensitivity("0", len(scores), measured)
    loss = estimated_loss(of(len(scores)), torch.tensor(scores), sensitivity)
    assert loss[0] == pytest.approx(0.0)
    assert np.isfinite(loss).all()
    assert (np.diff(loss) >= -1e-9).all()


def test_a_model_that_is_broken_is_refused() -> None:
    model = Classifier(made("residual"), (127.0,) * 3, (float("nan"),) * 3)
    groups, _ = find_groups(model, SHAPE)
    scores = [torch.ones(group.num_channels) for group in groups]
    with pytest.raises(ModelError, match="validation loss is nan: train it again"):
        measure_sensitivity(model, groups, scores, batches(SHAPE))
