"""Batch norms that see the global batch, so that several processes learn what one would.

torch's SyncBatchNorm does the same on GPUs alone, and is another layer in the saved model.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lowtide.training.world import World

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@contextmanager
def over_all_processes(model: nn.Module, world: World) -> Iterator[None]:
    """In the body the model's batch norms take their statistics over all processes.

    The layers stay the same objects; those of classes derived from torch's are left alone.
    """
    if world.size == 1:
        yield
        return
    joined: dict[type[nn.Module], type[nn.Module]] = {
        norm: type(f"Joined{norm.__name__}", (_Joined, norm), {"world": world}) for norm in NORMS
    }
    changed = [(layer, type(layer)) for layer in model.modules() if type(layer) in joined]
    for layer, kind in changed:
        layer.__class__ = joined[kind]
    try:
        yield
    finally:
        for layer, kind in changed:
            layer.__class__ = kind


class _Joined(nn.modules.batchnorm._BatchNorm):
    """The world is the class's, for layers are copied."""

    world: World

    def forward(self, inputs: Tensor) -> Tensor:
        """[N, C, ...] of this process -> the same shape."""
        if not self.training:
            return super().forward(inputs)
        self._check_input_dim(inputs)  # type: ignore[no-untyped-call]
        mean, var, count = _statistics(inputs, self.world)
        self._keep(mean, var * count / (count - 1))
        weight = torch.ones_like(mean) if self.weight is None else self.weight
        bias = torch.zeros_like(mean) if self.bias is None else self.bias
        return _Normalise.apply(  # type: ignore[no-any-return, no-untyped-call]
            inputs, weight, bias, mean, var, count, self.eps, self.world
        )

    def _keep(self, mean: Tensor, var: Tensor) -> None:
        """Running statistics, with the unbiased variance, as in torch."""
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        weight = self.momentum
        if weight is None:  # the mean of all batches
            weight = 1.0 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), weight)
        self.running_var.lerp_(var.to(self.running_var.dtype), weight)


def _statistics(inputs: Tensor, world: World) -> tuple[Tensor, Tensor, float]:
    """Mean and biased variance by channel, and how many values of a channel there are.

    Every process has as many. Moments are added up in float64: the square of the mean does not
    swallow the variance.
    """
    values = inputs.detach()
    values = values.float() if values.dtype in (torch.bfloat16, torch.float16) else values
    var, mean = torch.var_mean(values, [0, *range(2, values.ndim)], correction=0)
    moments = torch.cat([mean.double(), var.double() + mean.double() ** 2])
    world.add_(moments)
    mean64, square = (moments / world.size).chunk(2)
    var64 = (square - mean64**2).clamp_min(0)
    return mean64.to(mean.dtype), var64.to(mean.dtype), values.numel() / len(mean) * world.size


class _Normalise(torch.autograd.Function):
    """(inputs - mean) / sqrt(var + eps) * weight + bias, with the gradient that goes through the
    statistics of all processes. That of weight and bias is this process's part."""

    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        var: Tensor,
        count: float,
        eps: float,
        world: World,
    ) -> Tensor:
        ctx.save_for_backward(inputs, weight, mean, var)
        ctx.count, ctx.eps, ctx.world = count, eps, world
        return F.batch_norm(inputs, mean, var, weight, bias, training=False, eps=eps)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """As if mean and variance were constants, less what their changing takes away."""
        inputs, weight, mean, var = ctx.saved_tensors
        grad, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            grads[0], inputs, weight, mean, var, None, None, False, ctx.eps, [True, True, True]
        )
        sums = torch.cat([of_weight, of_bias])
        ctx.world.add_(sums)
        along, level = (sums / ctx.count).chunk(2)
        scale = torch.rsqrt(var + ctx.eps)
        shape = (1, -1, *(1 for _ in inputs.shape[2:]))
        centred = inputs - mean.view(shape)
        slope, offset = weight * along * scale**2, weight * level * scale
        taken = torch.addcmul(offset.view(shape), centred, slope.view(shape))
        return grad - taken.to(grad.dtype), of_weight, of_bias, None, None, None, None, None
