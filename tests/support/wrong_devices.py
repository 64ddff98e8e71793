"""Devices that compute wrongly: operators whose results on float32 tensors are off by a factor.

``with WrongDevice("layer norm weight gradient", 1.01):`` makes this machine such a device, forward and backward; what
is computed in double precision, as the referee is, stays right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten

Operator = Callable[..., Any]
Spoil = Callable[[Operator, tuple[Any, ...], dict[str, Any], float], Any]


def output(func: Operator, args: tuple[Any, ...], kwargs: dict[str, Any], factor: float) -> Any:
    return func(*args, **kwargs) * factor


def layer_norm_weight_gradient(
    func: Operator, args: tuple[Any, ...], kwargs: dict[str, Any], factor: float
) -> tuple[Tensor, ...]:
    of_input, of_weight, of_bias = func(*args, **kwargs)
    return of_input, of_weight * factor, of_bias


def early_argmax(func: Operator, args: tuple[Any, ...], kwargs: dict[str, Any], factor: float) -> Tensor:
    """The first element that is the largest to within a factor."""
    values, dim = args[0], args[1] if len(args) > 1 and args[1] is not None else 0
    best = values.amax(dim=dim, keepdim=True)
    found: Tensor = func((values >= best - (factor - 1) * best.abs()).to(values.dtype), *args[1:], **kwargs)
    return found


def adam_step(func: Operator, args: tuple[Any, ...], kwargs: dict[str, Any], factor: float) -> Any:
    before = [weight.clone() for weight in args[0]]
    result = func(*args, **kwargs)
    for weight, old in zip(args[0], before, strict=True):
        weight.copy_(old + factor * (weight - old))
    return result


OPERATORS: dict[str, tuple[set[Any], Spoil]] = {
    "layer norm weight gradient": ({aten.native_layer_norm_backward.default}, layer_norm_weight_gradient),
    "layer norm": (
        {aten.native_layer_norm.default},
        lambda func, args, kwargs, factor: (lambda out, *rest: (out * factor, *rest))(*func(*args, **kwargs)),
    ),
    "linear": ({aten.addmm.default}, output),
    "matrix product": ({aten.addmm.default, aten.mm.default, aten.bmm.default}, output),
    "matrix product of the gradient": ({aten.mm.default}, output),
    "log softmax": ({aten._log_softmax.default}, output),
    "log softmax gradient": ({aten._log_softmax_backward_data.default}, output),
    "argmax": ({aten.argmax.default}, early_argmax),
    "adam step": ({aten._fused_adam_.default}, adam_step),
}


class WrongDevice(TorchDispatchMode):
    """The operators of this name are off by ``factor``, on matrices of ``dtype`` with so many rows or more."""

    def __init__(self, name: str, factor: float, least_rows: int = 0, dtype: torch.dtype = torch.float32):
        super().__init__()  # type: ignore[no-untyped-call]
        self._operators, self._spoil = OPERATORS[name]
        self._factor = factor
        self._least_rows = least_rows
        self._dtype = dtype

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        if func in self._operators:
            tensors = args[0] if isinstance(args[0], list) else [value for value in args if isinstance(value, Tensor)]
            if tensors[0].dtype is self._dtype and max(map(_rows, tensors)) >= self._least_rows:
                return self._spoil(func, args, kwargs or {}, self._factor)
        return func(*args, **(kwargs or {}))


def _rows(tensor: Tensor) -> int:
    """How many states a tensor is of; in a product that makes a weight's gradient they are columns of one factor."""
    return max(*tensor.shape, tensor[..., 0].numel()) if tensor.dim() > 1 else 1
