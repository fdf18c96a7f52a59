"""Steering that decides nothing."""

from torch import Tensor

from lowtide.data.batches import Batch
from lowtide.training.step import backward
from lowtide.training.work import Fit


class Steady:
    """Nothing is decided: every epoch is run with what the recipe says."""

    lands = False

    def resume(self, work: Fit, extra: dict[str, Tensor]) -> None: ...

    def next_epoch(self, work: Fit) -> None: ...

    def backward(self, work: Fit, batch: Batch) -> float:
        return backward(work, batch)

    def after_update(self) -> None: ...

    def settle(self) -> None: ...

    def tensors(self) -> dict[str, Tensor]:
        return {}

    def held(self) -> list[Tensor]:
        return []

    def finish(self, work: Fit) -> None: ...
