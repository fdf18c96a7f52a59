"""Whose code is at work in a forward pass."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from torch import nn


@contextmanager
def noted(model: nn.Module, note: Callable[[str], None]) -> Iterator[None]:
    """In the body `note` is called whenever a module begins or ends, with the name of the innermost
    one whose code has run until then; "" is the model, and what runs before it."""
    at_work = [""]

    def entering(name: str) -> Callable[..., None]:
        def enter(*_: object) -> None:
            note(at_work[-1])
            at_work.append(name)

        return enter

    def leave(*_: object) -> None:
        note(at_work.pop())

    with ExitStack() as stack:
        for name, module in model.named_modules():
            stack.callback(module.register_forward_pre_hook(entering(name)).remove)
            stack.callback(module.register_forward_hook(leave).remove)
        yield
