"""What the training loop calls: hooks around a step, and whoever steers it."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # hooks are imported where torch is not needed
    from torch import Tensor

    from lowtide.data.batches import Batch
    from lowtide.training.work import Fit


class Hook:
    """Does nothing; hooks override what they need.

    `step` of `num_steps` counts steps of the base batch over all epochs, in parts of one.
    """

    def before_step(self, step: float, num_steps: float) -> None:
        """May wait, or raise `Deferred`."""

    def after_step(self, step: float, num_steps: float, loss: float) -> None:
        """May raise `BudgetSpent`."""

    def while_validating(self) -> None:
        """Before each batch of validation; may raise `Deferred`."""

    def after_epoch(self, epoch: int, metrics: dict[str, float]) -> None:
        """With the row of the history."""


class Steering(Protocol):
    """Decides what each epoch is run with, and holds the gates, if there are any.

    lands: the fit may end before the recipe's last epoch.
    """

    @property
    def lands(self) -> bool: ...

    def resume(self, work: "Fit", extra: dict[str, "Tensor"]) -> None: ...

    def next_epoch(self, work: "Fit") -> None:
        """Set `work.progress.knobs`; channels may leave the model."""

    def backward(self, work: "Fit", batch: "Batch") -> float:
        """Gradients of the whole objective; returns the loss of the labels."""

    def after_update(self) -> None: ...

    def settle(self) -> None:
        """What is drawn at random for a step is at its middle, until the next step."""

    def tensors(self) -> dict[str, "Tensor"]: ...

    def held(self) -> list["Tensor"]:
        """What it keeps on the device from step to step."""

    def finish(self, work: "Fit") -> None: ...
