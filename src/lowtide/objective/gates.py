"""Channel gates: each channel learns whether it is worth what it costs.

Hard concrete gates (Louizos, Welling, Kingma, "Learning Sparse Neural Networks through L0
Regularization", ICLR 2018): z = clamp(1.2 s - 0.1, 0, 1), s a concrete variable around sigmoid(a),
is exactly 0 or 1 most of the time, and the probability that it is not 0 has a gradient.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from math import log

import numpy as np
import torch
from torch import Tensor, nn

from lowtide.objective.groups import LayerCost, find_groups, layer_costs

LOW, HIGH = -0.1, 1.1  # the concrete variable is stretched to this and clamped to 0..1
TEMPERATURE = 2 / 3
SHIFT = TEMPERATURE * log(-LOW / HIGH)
ALL_OPEN = 2.0  # logit at the start: open with probability 0.97


class Gates(nn.Module):
    """Gates on every group of channels of a model that can leave, until `detach`.

    joules_per_mac: by kind of layer, as measured on the device (`objective.calibration`).
    reference_j: what `energy_share` is a share of; by default the model as it is.
    without: roots of groups that are left alone.
    """

    def __init__(
        self,
        model: nn.Module,
        input_shape: tuple[int, int, int],
        joules_per_mac: Mapping[str, float],
        reference_j: float | None = None,
        without: Set[str] = frozenset(),
    ) -> None:
        super().__init__()
        found, self.refused = find_groups(model, input_shape)
        self.groups = [group for group in found if group.root not in without]
        self.costs = layer_costs(model, input_shape, self.groups)
        self._joules_per_mac = dict(joules_per_mac)
        device = next(model.parameters()).device
        self.logits = nn.ParameterList(
            torch.full((group.num_channels,), ALL_OPEN, device=device) for group in self.groups
        )
        self._drawn: list[Tensor] = []
        self._values: list[Tensor] = [torch.ones_like(logit) for logit in self.logits]
        modules = dict(model.named_modules())
        self.reference_j = reference_j or sum(self._joules(cost) for cost in self.costs)
        self._hooks = [
            modules[name].register_forward_hook(self._hook(index))
            for index, group in enumerate(self.groups)
            for name in group.gated
        ]

    def draw(self, seed: Sequence[int]) -> None:
        """One draw of every gate for a training step; the same seed gives the same draw.

        What the loss says of it reaches the logits with `pull`, after one backward or several.
        """
        random = np.random.default_rng(tuple(seed))
        self._drawn = []
        for logits in self.logits:
            noise = torch.from_numpy(random.logistic(size=len(logits)).astype(np.float32))
            self._drawn.append(_stretched((logits + noise.to(logits.device)) / TEMPERATURE))
        self._values = [drawn.detach().requires_grad_() for drawn in self._drawn]

    def pull(self, scale: float = 1.0) -> None:
        """Hand the gradients that the draw has got on to the logits, times `scale`."""
        reached = [
            (drawn, value.grad * scale)
            for drawn, value in zip(self._drawn, self._values, strict=True)
            if value.grad is not None
        ]
        torch.autograd.backward([d for d, _ in reached], [g for _, g in reached])

    def gradients(self) -> list[Tensor]:
        """What the draw has got so far: [channels], by group that had a part in the loss."""
        return [value.grad for value in self._values if value.grad is not None]

    def settle(self) -> None:
        """For evaluation: every gate at its middle, without noise."""
        with torch.no_grad():
            self._values = [_stretched(logits) for logits in self.logits]

    def open_probability(self) -> list[Tensor]:
        """P(z > 0) of every gate, by group: [channels]."""
        return [torch.sigmoid(logits - SHIFT) for logits in self.logits]

    def num_closed(self, at_most: float) -> list[int]:
        """By group: how many gates are open with a probability of `at_most`; of each block as many
        as of the one that has least."""
        return [
            group.num_blocks * int((open_ <= at_most).view(group.num_blocks, -1).sum(1).min())
            for group, open_ in zip(self.groups, self.open_probability(), strict=True)
        ]

    def energy_share(self) -> Tensor:
        """Expected joules of one inference over `reference_j`, with gradient: scalar."""
        return self._energy_j(self.open_probability()) / self.reference_j

    def _energy_j(self, probabilities: list[Tensor]) -> Tensor:
        """Sum over layers: J/MAC x MACs x share of open inputs x share of open outputs."""
        kept = [probability.mean() for probability in probabilities]
        total = torch.zeros((), device=kept[0].device if kept else None)
        for cost in self.costs:
            total = total + self._joules(cost) * cost.share(kept.__getitem__)
        return total

    def _joules(self, cost: LayerCost) -> float:
        return cost.macs * self._joules_per_mac[cost.kind]

    def fold(self, model: nn.Module) -> None:
        """Write what the gates are at rest into the gated layers, and take the gates off."""
        self.settle()
        modules = dict(model.named_modules())
        with torch.no_grad():
            for group, values in zip(self.groups, self._values, strict=True):
                for name in group.gated:
                    _scale(modules[name], values)
        self.detach()

    def detach(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def _hook(self, index: int) -> Callable[..., Tensor]:
        def multiply(module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
            values = self._values[index].to(output.dtype)
            if isinstance(module, nn.Linear):  # channels come last
                return output * values.repeat(output.shape[-1] // len(values))
            return output * values.view(1, -1, *(1 for _ in output.shape[2:]))

        return multiply


def _stretched(logits: Tensor) -> Tensor:
    return (torch.sigmoid(logits) * (HIGH - LOW) + LOW).clamp(0, 1)


def _scale(layer: nn.Module, values: Tensor) -> None:
    """Multiply a layer's outputs by a value for each channel."""
    for parameter in layer.parameters(recurse=False):
        rows = values.repeat(len(parameter) // len(values))
        parameter.mul_(rows.view(-1, *(1 for _ in parameter.shape[1:])))
