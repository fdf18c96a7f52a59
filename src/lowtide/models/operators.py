"""Multiply-adds of whatever torch executes, counted at the level of operators."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


class Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """As torch's FlopCounterMode, by its formulas; that imports dynamo, which takes seconds."""

    macs = 0
    num_heads = 1  # matrices that the latest product of two activations has multiplied side by side

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        formula, kwargs = FORMULAS.get(func._overloadpacket), kwargs or {}
        if formula is None:
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        out = func(*args, **kwargs)
        if formula is not None:
            self.macs += formula(*args, **kwargs, out_val=out) // 2
            if func._overloadpacket is torch.ops.aten.bmm:
                self.num_heads = len(out)
        return out


@contextmanager
def counting() -> Iterator[Counter]:
    """Attention is computed in plain products of matrices in the body: not all its kernels have a
    formula."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        counter = Counter()  # type: ignore[no-untyped-call]
        with sdpa_kernel(SDPBackend.MATH), counter:
            yield counter
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def recurrent_flop(tokens: Tensor, weights: Any, *others: Any, **_: Any) -> int:
    """Of a recurrent layer in one kernel: each of the tokens [..., width] meets each weight once.

    cuDNN is given the weights of all layers in a list, oneDNN two, those of one layer.
    """
    matrices = weights if isinstance(weights, list | tuple) else (weights, others[0])
    num_weights: int = sum(each.numel() for each in matrices if each.ndim == 2)
    return 2 * num_weights * (tokens.numel() // tokens.shape[-1])


def vector_flop(*factors: Any, **_: Any) -> int:
    """Of a product with a vector [K]: it meets each row of the other factor [..., K]."""
    return 2 * int(factors[-2].numel())


def bilinear_flop(*factors: Any, out_val: Tensor, **_: Any) -> int:
    """Each two rows meet each weight once: factors[1], [outputs, inputs, inputs]."""
    return 2 * out_val.numel() * int(factors[1][0].numel())


RECURRENT = (torch.ops.aten.mkldnn_rnn_layer, torch.ops.aten._cudnn_rnn)
VECTOR = (torch.ops.aten.mv, torch.ops.aten.addmv, torch.ops.aten.dot)
FORMULAS = {
    **flop_registry,
    **dict.fromkeys(RECURRENT, recurrent_flop),
    **dict.fromkeys(VECTOR, vector_flop),
    torch.ops.aten._trilinear: bilinear_flop,
}  # in FLOP
