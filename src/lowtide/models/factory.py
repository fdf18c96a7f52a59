"""From the name in params.yaml to a network that takes raw pixels."""

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lowtide.errors import LowtideError, ModelError
from lowtide.models.family import NAMED, PREFIX, TideNet, config_of

Factory = Callable[[int, tuple[int, int], int], nn.Module]


@dataclass(frozen=True)
class ModelSpec:
    """What a factory is called with, and the pixel statistics the model normalises by."""

    factory: str
    in_channels: int
    image_size: tuple[int, int]
    num_classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


class Classifier(nn.Module):
    """Pixels 0..255 [N, C, H, W], uint8 or float -> logits [N, num_classes]."""

    mean: Tensor
    std: Tensor

    def __init__(self, net: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        normalised = (images.to(self.mean.dtype) - self.mean) / self.std
        return self.net(normalised)  # type: ignore[no-any-return]


def build(spec: ModelSpec) -> Classifier:
    """Make the model and try it on one batch of zeros.

    Raises:
        ModelError: the name is unknown, the factory cannot be imported or called, returns no
            `nn.Module`, or a module whose output is not [N, num_classes].
    """
    net = _call(spec)
    if not isinstance(net, nn.Module):
        raise ModelError(
            f"{spec.factory} returned {type(net).__name__}: it has to return a torch.nn.Module"
        )
    _check_output(net, spec)
    return Classifier(net, spec.mean, spec.std)


def _call(spec: ModelSpec) -> object:
    config = config_of(spec.factory)
    if config is not None:
        return TideNet(config, spec.in_channels, spec.image_size, spec.num_classes)
    factory = import_factory(spec.factory)
    try:
        return factory(spec.in_channels, spec.image_size, spec.num_classes)
    except LowtideError:
        raise
    except Exception as error:
        raise ModelError(
            f"{spec.factory}({spec.in_channels}, {spec.image_size}, {spec.num_classes}) failed: "
            f"{type(error).__name__}: {error}"
        ) from error


def require_factory(name: str) -> None:
    """ModelError where the name is neither of the family nor a function that can be imported."""
    if config_of(name) is None:
        import_factory(name)


def import_factory(name: str) -> Factory:
    module_name, colon, function = name.partition(":")
    if not colon:
        known = ", ".join(sorted(NAMED))
        raise ModelError(
            f"no model named {name!r}: take {known}, {PREFIX}STEM[pPATCH]-WIDTH[xBLOCKS]-... "
            "like tidenet-24p2-32x1-64x1, or module:function"
        )
    if os.getcwd() not in sys.path:  # noqa: PTH109 -- sys.path holds strings
        sys.path.insert(0, os.getcwd())  # noqa: PTH109
    try:
        factory = getattr(importlib.import_module(module_name), function)
    except (ImportError, AttributeError) as error:
        raise ModelError(f"model factory {name} cannot be imported: {error}") from None
    except Exception as error:
        raise ModelError(
            f"model factory {name} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    if not callable(factory):
        raise ModelError(f"model factory {name} is {type(factory).__name__}, not a function")
    return factory  # type: ignore[no-any-return]


def _check_output(net: nn.Module, spec: ModelSpec) -> None:
    """In evaluation and in training: there some networks give an auxiliary head's logits, too."""
    training = net.training
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            images = torch.zeros(2, spec.in_channels, *spec.image_size)
            found = {"": net.eval()(images), " in training": deepcopy(net).train()(images)}
    except (RuntimeError, ValueError, TypeError) as error:
        raise ModelError(
            f"{spec.factory} cannot take images of {spec.in_channels}x{spec.image_size[0]}x"
            f"{spec.image_size[1]}: {str(error).splitlines()[0]}"
        ) from error
    for when, output in found.items():
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        if shape != (2, spec.num_classes):
            raise ModelError(
                f"{spec.factory} gives {shape} for 2 images{when}: expected "
                f"(2, {spec.num_classes}) logits, those of the main head alone"
            )
    net.train(training)
