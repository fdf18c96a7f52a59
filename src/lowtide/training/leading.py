"""Hooks where several processes train: one process runs them, the others do as it says."""

from collections.abc import Callable, Sequence

from lowtide.training.fit import BudgetSpent
from lowtide.training.pacing import Deferred
from lowtide.training.protocols import Hook
from lowtide.training.world import World

Ending = Deferred | BudgetSpent | None  # None: the step is taken


class Leader(Hook):
    """Runs the hooks, and before each step, and each batch of validation, tells the others whether
    it is taken.

    A budget that is spent after a step is told before the next one.
    """

    def __init__(self, hooks: Sequence[Hook], world: World) -> None:
        self._hooks, self._world = hooks, world
        self._spent: BudgetSpent | None = None

    def before_step(self, step: float, num_steps: float) -> None:
        self._tell(self._spent or self._asked(lambda hook: hook.before_step(step, num_steps)))

    def while_validating(self) -> None:
        self._tell(self._asked(lambda hook: hook.while_validating()))

    def _asked(self, ask: Callable[[Hook], None]) -> Ending:
        try:
            for hook in self._hooks:
                ask(hook)
        except (Deferred, BudgetSpent) as ending:
            return ending
        return None

    def _tell(self, ending: Ending) -> None:
        self._world.share(lambda: ending)
        if ending is not None:
            raise ending

    def after_step(self, step: float, num_steps: float, loss: float) -> None:
        try:
            for hook in self._hooks:
                hook.after_step(step, num_steps, loss)
        except BudgetSpent as spent:
            self._spent = spent

    def after_epoch(self, epoch: int, metrics: dict[str, float]) -> None:
        for hook in self._hooks:
            hook.after_epoch(epoch, metrics)


class Follower(Hook):
    def __init__(self, world: World) -> None:
        self._world = world

    def before_step(self, step: float, num_steps: float) -> None:  # noqa: ARG002
        self._hear()

    def while_validating(self) -> None:
        self._hear()

    def _hear(self) -> None:
        ending: Ending = self._world.share(lambda: None)
        if ending is not None:
            raise ending


def led(hooks: Sequence[Hook], world: World) -> Sequence[Hook]:
    """The hooks of the process that leads."""
    return hooks if world.size == 1 else [Leader(hooks, world)]
