"""When processes that train together ask each other whether to stop."""

import time
from collections.abc import Callable

import torch

EVERY_S = 1.0


class Looks:
    """About once a second: to ask is to wait for the GPU, which no step should.

    All have to ask after the same step. So they agree, with each answer, on how many steps there
    are to the next one, of which each says by its own clock how many it wants.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s, self._since_s = now_s, now_s()
        self._steps = self._left = 1

    def any(self, over: bool, num_processes: int, device: torch.device) -> bool:
        """After a step: whether one of them is over, if it is time to ask; they all hear the same.

        On `device`, which the default process group can reduce on.
        """
        if num_processes == 1:
            return over
        if not self.due():
            return False
        told = torch.tensor([int(over), self.wanted()], device=device)
        torch.distributed.all_reduce(told, torch.distributed.ReduceOp.MAX)
        one_is_over, num_steps = told.tolist()
        self.agree(num_steps)
        return bool(one_is_over)

    def due(self) -> bool:
        """Counts a step; whether all ask after it."""
        self._left -= 1
        return self._left == 0

    def wanted(self) -> int:
        """Steps to the next look: as many as take a second, at most twice as many as to this."""
        step_s = (self._now_s() - self._since_s) / self._steps
        most = 2 * self._steps
        return most if step_s * most <= EVERY_S else max(int(EVERY_S / step_s), 1)

    def agree(self, steps: int) -> None:
        self._steps = self._left = steps
        self._since_s = self._now_s()
