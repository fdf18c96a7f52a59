"""What kinds of layers there are, and which can lose channels."""

from typing import TypeGuard

from torch import nn

UNSEEN = "no gradient passes it, by which its channels could be followed"
CUT = (nn.Conv2d, nn.Linear)  # what can lose outputs
READING = (nn.modules.conv._ConvNd, nn.Linear)  # what can lose inputs
# Inputs that training a strided 1x1 convolution needs on a CPU: with less than a block of them (8
# or 16) oneDNN writes beyond its memory (github.com/uxlfoundation/oneDNN/issues/6035).
STRIDED_INPUTS = 16
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.InstanceNorm2d)


def layer_kind(layer: nn.Module) -> str:
    """Layers of one kind cost about the same joules per multiply-add."""
    if isinstance(layer, nn.Conv2d):
        size = "x".join(str(side) for side in layer.kernel_size)
        return f"conv{size}" if layer.groups == 1 else f"grouped conv{size}"
    if isinstance(layer, nn.Linear):
        return "linear"
    if isinstance(layer, nn.MultiheadAttention):
        return "attention"
    return type(layer).__name__.lower() if _is_of_torch(layer) else "products"


def _is_of_torch(layer: nn.Module) -> bool:
    return type(layer).__module__.startswith("torch.")


def has_weights(layer: nn.Module) -> bool:
    return any(parameter.ndim > 1 for parameter in layer.parameters(recurse=False))


def is_grouped(layer: nn.Module) -> TypeGuard[nn.Conv2d]:
    """In other groups than one for each channel, which is depthwise."""
    if not isinstance(layer, nn.Conv2d) or layer.groups == 1:
        return False
    return not layer.groups == layer.in_channels == layer.out_channels


def is_strided(layer: nn.Module) -> bool:
    if not isinstance(layer, nn.Conv2d) or layer.groups > 1:
        return False
    return max(layer.kernel_size) == 1 < max(layer.stride)


def obstacle(module: nn.Module, outputs: bool) -> str | None:
    """Why no channel can be nothing where this module is in its group."""
    if isinstance(module, nn.GroupNorm | nn.LayerNorm):
        return "norms each channel by all of them"
    if isinstance(module, nn.MultiheadAttention):
        return "is attention, whose heads need all channels"
    if isinstance(module, nn.RNNBase):
        return f"is recurrent ({type(module).__name__}), and its channels are not followed"
    if is_grouped(module) and module.groups == module.out_channels:
        return "is a grouped convolution with one output for each group"
    if isinstance(module, NORMS):
        return None if module.affine else "has no weights to close a channel with"
    loses = (outputs and [*module.parameters(recurse=False)]) or getattr(module, "groups", 1) > 1
    if loses and not isinstance(module, (*CUT, nn.PReLU)):
        return f"is a {type(module).__name__}: only Conv2d and Linear layers lose channels"
    return None


def why_not_found(layer: nn.Module, followed: bool) -> str:
    """Why it is in none of torch-pruning's groups."""
    if not (_is_of_torch(layer) or isinstance(layer, READING)):
        return "multiplies by weights of its own, of which it is not known which are channels"
    return obstacle(layer, outputs=True) or (
        "shares channels with the outputs" if followed else UNSEEN
    )
