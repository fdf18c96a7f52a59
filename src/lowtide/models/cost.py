"""How large a network is: multiply-adds and parameters."""

import torch
from torch import nn

from lowtide.errors import UsageError
from lowtide.models.at_work import noted
from lowtide.models.operators import counting

Shape = tuple[int, int, int]  # of an image: C, H, W


def count_macs(model: nn.Module, input_shape: Shape) -> int:
    """Multiply-adds of convolutions and products of matrices for one image."""
    return sum(layer_macs(model, input_shape).values())


def layer_macs(model: nn.Module, input_shape: Shape) -> dict[str, int]:
    """The same by the module whose code does them, in the order in which they are first used.

    They are counted at the level of operators: layers of any kind, and what a module multiplies
    itself (attention's scores, a bare parameter), which is that module's and not its children's.
    """
    return layer_work(model, input_shape)[0]


def layer_work(model: nn.Module, input_shape: Shape) -> tuple[dict[str, int], dict[str, int]]:
    """`layer_macs`, and the heads of the modules whose own code is attention, by name."""
    found: dict[str, int] = {}
    heads: dict[str, int] = {}
    before, training = 0, model.training
    device = next((parameter.device for parameter in model.parameters()), None)

    def note(name: str) -> None:
        nonlocal before
        if counter.macs > before:
            found[name] = found.get(name, 0) + counter.macs - before
            before = counter.macs
        if counter.num_heads > 1:
            heads[name] = counter.num_heads
            counter.num_heads = 1

    try:
        with torch.no_grad(), counting() as counter, noted(model, note):
            model.eval()(torch.zeros(1, *input_shape, device=device))
    finally:
        model.train(training)
    return found, heads


def count_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def require_no_larger(student: nn.Module, teacher: nn.Module, input_shape: Shape) -> None:
    """UsageError: the student takes more multiply-adds for an image than its teacher."""
    own, most = count_macs(student, input_shape), count_macs(teacher, input_shape)
    if own > most:
        raise UsageError(
            f"the student takes {own / 1e6:.3g} M multiply-adds for an image, its teacher "
            f"{most / 1e6:.3g} M: name a smaller one in model.student, or null for the teacher's "
            "own architecture"
        )
