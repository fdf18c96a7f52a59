"""How gates are learnt along with the weights, and leave with their channels."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lowtide.objective.exactness import inexact_groups
from lowtide.objective.gates import Gates
from lowtide.objective.groups import find_groups
from lowtide.objective.removal import Removed, least_important, remove_channels

TRAVEL = 50.0  # how far a logit may go over all steps: rate of Adam times number of steps
BETAS = (0.9, 0.99)


class GateLearning:
    """Gates of a model and their optimizer. `num_steps`: of the whole fit.

    inexact: layers that are left alone, since their closed channels would not leave without trace.
    """

    def __init__(
        self,
        model: nn.Module,
        input_shape: tuple[int, int, int],
        joules_per_mac: Mapping[str, float],
        num_steps: float,
        reference_j: float | None = None,
    ) -> None:
        self._input_shape, self._joules_per_mac = input_shape, joules_per_mac
        self._num_steps = num_steps
        groups, _ = find_groups(model, input_shape)
        self.inexact = inexact_groups(model, input_shape, groups)
        self.gates = Gates(model, input_shape, joules_per_mac, reference_j, self.inexact)
        self._optimizer = self._made_optimizer()

    def penalty(self, pressure: float) -> Tensor:
        """`pressure` x expected energy per inference as a share of the whole model's."""
        return pressure * self.gates.energy_share()

    def step(self) -> None:
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)

    def share(self) -> float:
        with torch.no_grad():
            return float(self.gates.energy_share())

    def remove(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, at_most: float, round_to: int
    ) -> list[Removed]:
        """Take out channels that are open with a probability of `at_most`; gates and their
        momenta follow. Nothing happens where no whole `round_to` of them is closed."""
        logits = [logit.detach() for logit in self.gates.logits]
        leaving = [
            least_important(group, logit, closed, round_to)
            for group, logit, closed in zip(
                self.gates.groups, logits, self.gates.num_closed(at_most), strict=True
            )
        ]
        if not any(leaving):
            return []
        states = [self._optimizer.state.get(logit, {}) for logit in self.gates.logits]
        self.gates.detach()
        removed = remove_channels(model, self._input_shape, self.gates.groups, leaving, optimizer)
        self.gates = Gates(
            model, self._input_shape, self._joules_per_mac, self.gates.reference_j, self.inexact
        )
        self._optimizer = self._made_optimizer()
        for index, (gone, logit) in enumerate(zip(leaving, logits, strict=True)):
            kept = torch.tensor(sorted({*range(len(logit))} - {*gone}))
            self._load(index, logit[kept], {k: _kept(v, kept) for k, v in states[index].items()})
        return removed

    def tensors(self) -> dict[str, Tensor]:
        """What `load` needs to go on."""
        found: dict[str, Tensor] = {}
        for index, logit in enumerate(self.gates.logits):
            found[f"{index}.logits"] = logit.detach()
            for key, value in self._optimizer.state.get(logit, {}).items():
                found[f"{index}.{key}"] = value
        return found

    def held(self) -> list[Tensor]:
        """Logits and their momenta; Adam's count of steps is on the CPU."""
        states = (self._optimizer.state.get(logit, {}) for logit in self.gates.logits)
        momenta = [value for state in states for value in state.values() if value.ndim == 1]
        return [*self.gates.logits, *momenta]

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        for index in range(len(self.gates.logits)):
            prefix = f"{index}."
            mine = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
            self._load(index, mine.pop("logits"), mine)

    def _load(self, index: int, values: Tensor, state: Mapping[str, Any]) -> None:
        logit = self.gates.logits[index]
        with torch.no_grad():
            logit.copy_(values)
        if state:
            self._optimizer.state[logit] = {k: _beside(v, logit) for k, v in state.items()}

    def _made_optimizer(self) -> torch.optim.Adam:
        logits = [{"params": list(self.gates.logits)}]  # of no group where nothing can be gated
        return torch.optim.Adam(logits, lr=TRAVEL / self._num_steps, betas=BETAS)


def _beside(value: Any, logit: Tensor) -> Any:
    """On the logits' device; Adam's count of steps stays on the CPU."""
    return value.to(logit.device) if isinstance(value, Tensor) and value.ndim == 1 else value


def _kept(value: Any, kept: Tensor) -> Any:
    return value[kept] if isinstance(value, Tensor) and value.ndim == 1 else value
