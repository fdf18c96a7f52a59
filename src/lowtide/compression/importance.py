"""A score for each channel of a group: how much the network would miss it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass
from itertools import chain, count, islice
from typing import Any

import torch
from torch import Tensor, nn

from lowtide.data.batches import Batch, Batches
from lowtide.errors import ModelError
from lowtide.objective.calibration import seconds_per_mac
from lowtide.objective.graph import dependency_graph
from lowtide.objective.groups import ChannelGroup
from lowtide.objective.layers import NORMS, READING
from lowtide.objective.learning import GateLearning
from lowtide.objective.removal import pruning_group
from lowtide.params import Importance
from lowtide.training.losses import LossFunction

PRESSURE = 1.0  # of energy on the gates: as much as the loss


@dataclass(frozen=True)
class Lessons:
    """Batches of training images, and the loss that fine-tuning will have."""

    train: Batches
    loss: LossFunction
    num_batches: int

    def __iter__(self) -> Iterator[Batch]:
        return islice(chain.from_iterable(map(self.train.epoch, count())), self.num_batches)


def channel_scores(
    model: nn.Module,
    input_shape: tuple[int, int, int],
    groups: Sequence[ChannelGroup],
    how: Importance,
    lessons: Lessons,
) -> list[Tensor]:
    """Non-negative scores [channels] of each group; they compare within it. The model stays as it
    is.

    Raises:
        ModelError: the layer has no batch norm to go by, or weights that are not finite.
    """
    if not groups:
        return []
    if how == "l2":
        scores = _group_norms(model, input_shape, groups)
    elif how == "bn-scale":
        scores = [_norm_weights(model, group) for group in groups]
    elif how == "taylor":
        scores = _first_order(deepcopy(model).eval(), groups, lessons)
    else:
        scores = _learnt_gates(deepcopy(model).eval(), input_shape, groups, lessons)
    for group, score in zip(groups, scores, strict=True):
        if not torch.isfinite(score).all():
            raise ModelError(
                f"{group.root} has weights, or gradients, that are infinite or NaN: train the "
                "model again with a lower learning_rate"
            )
    return [score.cpu() for score in scores]


def _group_norms(
    model: nn.Module, input_shape: tuple[int, int, int], groups: Sequence[ChannelGroup]
) -> list[Tensor]:
    """Mean squared L2 norm of the weights that come and go with a channel (Fang et al., 2023)."""
    graph, found = dependency_graph(model, input_shape), []
    for group in groups:
        score, num_layers = torch.zeros(group.num_channels), 0
        for item in pruning_group(graph, model, group, range(group.num_channels)):
            outputs = graph.is_out_channel_pruning_fn(item.dep.handler)
            weights = _by_channel(item.dep.target.module, outputs)
            if weights is not None:
                norms = weights.square().sum(1).cpu()
                index, root = torch.tensor(item.idxs), torch.tensor(item.root_idxs)
                there = index < len(norms)  # behind queries, keys and values there may be others
                score.index_add_(0, root[there] % group.num_channels, norms[index[there]])
                num_layers += 1
        found.append(score / num_layers)
    return found


def _by_channel(layer: Any, outputs: bool) -> Tensor | None:
    """[channels, weights] of a layer's outputs or inputs; None where it has none that count."""
    if isinstance(layer, NORMS):
        weight = layer.weight[:, None]
    elif not isinstance(layer, READING):
        return None
    elif outputs or getattr(layer, "transposed", False):
        weight = layer.weight
    else:  # each group of a convolution reads channels of its own
        parts = layer.weight.chunk(getattr(layer, "groups", 1))
        weight = torch.cat([part.transpose(0, 1) for part in parts])
    return weight.detach().flatten(1)


def _norm_weights(model: nn.Module, group: ChannelGroup) -> Tensor:
    """Mean |gamma| (Liu et al., "Network Slimming", 2017)."""
    norms = [model.get_submodule(name) for name in group.gated]
    if not all(isinstance(module, NORMS) for module in norms):
        raise ModelError(
            f"{group.root} has no batch norm, which prune.importance bn-scale goes by: take l2, "
            "taylor or gates"
        )
    weights = [model.get_parameter(f"{name}.weight").detach().abs() for name in group.gated]
    return torch.stack(weights).mean(0)


def _first_order(
    trial: nn.Module, groups: Sequence[ChannelGroup], lessons: Lessons
) -> list[Tensor]:
    """|sum of w dL/dw| over the weights that give a channel, for each image; its mean over images.

    It is what the loss of an image loses to first order where the channel becomes 0 (Molchanov et
    al., "Importance Estimation for Neural Network Pruning", 2019), shifts included. It is taken as
    the slope by a factor on the channel, since gradients of weights are sums over images, which
    cancel in a network that is trained. Norms keep the statistics that they have in evaluation.
    """
    scores = [torch.zeros(group.num_channels) for group in groups]
    gated = [name for group in groups for name in group.gated]
    trial.requires_grad_(False)
    with _factors(trial, gated) as factors:
        for batch in lessons:
            logits = trial(batch.images).float()
            lessons.loss(batch, logits).backward()  # type: ignore[no-untyped-call]
            for score, group in zip(scores, groups, strict=True):
                for name in group.gated:
                    score += _slope(factors[name], len(score)).cpu() / lessons.num_batches
    return scores


def _slope(factor: Tensor, num_channels: int) -> Tensor:
    """[channels]: mean over images of what a mean over images was differentiated to."""
    assert factor.grad is not None
    return factor.grad.view(len(factor), -1, num_channels).sum(1).abs().sum(0)


@contextmanager
def _factors(model: nn.Module, names: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """In the body each named module's outputs are multiplied by factors of 1, which are yielded,
    [N, channels] for the latest batch, by name."""
    factors: dict[str, Tensor] = {}

    def hook_of(name: str) -> Callable[..., Tensor]:
        def multiply(module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
            last = isinstance(module, nn.Linear)  # channels come last, else second
            shape = [output.shape[0], *(1 for _ in output.shape[1:])]
            shape[-1 if last else 1] = output.shape[-1 if last else 1]
            ones = torch.ones(shape, dtype=output.dtype, device=output.device)
            factors[name] = ones.flatten(1).requires_grad_()
            return output * factors[name].view(shape)

        return multiply

    with ExitStack() as stack:
        for name in names:
            hook = model.get_submodule(name).register_forward_hook(hook_of(name))
            stack.callback(hook.remove)
        yield factors


def _learnt_gates(
    trial: nn.Module,
    input_shape: tuple[int, int, int],
    groups: Sequence[ChannelGroup],
    lessons: Lessons,
) -> list[Tensor]:
    """Probability that a channel's gate is open, learnt with the weights as they are."""
    images = next(iter(lessons)).images
    cost = seconds_per_mac(trial, images)
    learning = GateLearning(trial, input_shape, cost, lessons.num_batches)
    trial.requires_grad_(False)
    for step, batch in enumerate(lessons):
        learning.gates.draw((lessons.train.seed, step))
        lessons.loss(batch, trial(batch.images).float()).backward()  # type: ignore[no-untyped-call]
        learning.gates.pull()
        learning.penalty(PRESSURE).backward()  # type: ignore[no-untyped-call]
        learning.step()
    found = [group.root for group in learning.gates.groups]
    learnt = dict(zip(found, learning.gates.open_probability(), strict=True))
    return [learnt[group.root].detach() for group in groups]
