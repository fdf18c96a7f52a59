"""What torch-pruning sees of a model (Fang et al., "DepGraph", 2023)."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lowtide.errors import ModelError, first_line


def dependency_graph(model: nn.Module, input_shape: tuple[int, int, int]) -> Any:
    """ModelError: torch-pruning cannot follow the model."""
    import torch_pruning

    device = next(model.parameters()).device
    example = torch.zeros(1, *input_shape, device=device)
    modes = {module: module.training for module in model.modules()}
    frozen = [parameter for parameter in model.parameters() if not parameter.requires_grad]
    recurrent = torch_pruning.pruner.function.LSTMPruner()
    try:
        model.requires_grad_(True)  # it follows gradients
        with _sealed(model):
            return torch_pruning.DependencyGraph().build_dependency(
                model,
                example_inputs=example,
                customized_pruners=dict.fromkeys((nn.RNN, nn.GRU), recurrent),
                verbose=False,
            )
    except Exception as error:  # the model's own, or of what torch-pruning makes of it
        raise _not_followed(error) from error
    finally:  # it was traced in evaluation
        for module, mode in modes.items():
            module.training = mode
        for parameter in frozen:
            parameter.requires_grad_(False)


def coupled_channels(graph: Any, kept: list[nn.Module]) -> list[Any]:
    """torch-pruning's groups, without those that hold outputs of `kept`.

    Raises:
        ModelError: it cannot follow the model.
    """
    try:
        return list(graph.get_all_groups(ignored_layers=kept))
    except Exception as error:
        raise _not_followed(error) from error


def _not_followed(error: Exception) -> ModelError:
    return ModelError(
        f"torch-pruning cannot follow the model ({type(error).__name__}: {first_line(error)}): "
        "its channels cannot be pruned or gated"
    )


@contextmanager
def _sealed(model: nn.Module) -> Iterator[None]:
    """In the body each recurrent layer is one operation, whatever torch makes of it inside."""
    sealed = [module for module in model.modules() if isinstance(module, nn.RNNBase)]
    for module in sealed:
        module.__dict__["forward"] = partial(_call_sealed, module, module.forward)
    try:
        yield
    finally:
        for module in sealed:
            del module.__dict__["forward"]


def _call_sealed(module: nn.RNNBase, forward: Any, sequence: Any, *hidden: Any) -> Any:
    """[..., width] and hidden state, as the layer's own `forward` gives them."""
    with torch.no_grad():
        outputs, state = forward(sequence, *hidden)
    if not isinstance(outputs, Tensor):
        return outputs, state  # packed: nothing passes it that could be followed
    states = state if isinstance(state, tuple) else (state,)
    weight = next(module.parameters())
    outputs, *states = _Sealed.apply(sequence, weight, outputs, *states)  # type: ignore[no-untyped-call]
    return outputs, tuple(states) if isinstance(state, tuple) else states[0]


class _Sealed(torch.autograd.Function):
    """Gives what has been computed; it is there to be seen, not to be differentiated."""

    @staticmethod
    def forward(_ctx: Any, _sequence: Tensor, _weight: Tensor, *outputs: Tensor) -> Any:
        return tuple(each.clone() for each in outputs)

    @staticmethod
    def backward(_ctx: Any, *_gradients: Any) -> Any:
        raise NotImplementedError
