"""A device that this machine need not have: tensors that behave as if they lay on a GPU.

They compute on the CPU, but say that they are elsewhere, refuse to become numpy arrays and refuse
to be mixed with tensors of the CPU, which is where code that was only ever run on a CPU goes wrong.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

ELSEWHERE = torch.device("cuda", 0)


class ElsewhereTensor(torch.Tensor):
    """A tensor of the other device; `Pretending` makes it so."""

    __torch_function__ = torch._C._disabled_torch_function_impl


def elsewhere(tensor: Tensor) -> Tensor:
    """The tensor on the other device."""
    return tensor.as_subclass(ElsewhereTensor)


class Pretending(TorchFunctionMode):
    """While this lasts, the other device is there."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        there = any(isinstance(leaf, ElsewhereTensor) for leaf in tensors)
        if func is torch.device:
            return func(*args, **kwargs)
        if func == Tensor.device.__get__:
            return ELSEWHERE if there else func(*args)
        if there and func in (Tensor.numpy, Tensor.__array__):
            raise TypeError("can't convert a tensor of the other device to numpy")
        args, asked = _without_device(args)
        kwargs, also_asked = _without_device(kwargs)
        goal = asked or also_asked
        if func is Tensor.cpu:
            goal = torch.device("cpu")
        elif func is not Tensor.to and func is not Tensor.__getitem__:
            _refuse_mixture(func, tensors)
        result = func(*args, **kwargs)
        to_there = goal == ELSEWHERE or (there and goal is None)
        return tree_map(_there if to_there else _here, result)


def _without_device(values: Any) -> tuple[Any, torch.device | None]:
    """Arguments that mean the CPU, and the device they named."""
    found = [leaf for leaf in tree_leaves(values) if isinstance(leaf, torch.device)]
    if not found:
        return values, None
    cpu = torch.device("cpu")
    return tree_map(lambda leaf: cpu if isinstance(leaf, torch.device) else leaf, values), found[0]


def _refuse_mixture(func: Any, tensors: list[Tensor]) -> None:
    """A number without dimensions may lie anywhere, as with real devices."""
    large = [tensor for tensor in tensors if tensor.dim() > 0]
    if len({isinstance(tensor, ElsewhereTensor) for tensor in large}) > 1:
        raise RuntimeError(f"tensors of two devices in {getattr(func, '__name__', func)}")


def _there(value: Any) -> Any:
    return elsewhere(value) if isinstance(value, Tensor) else value


def _here(value: Any) -> Any:
    return value.as_subclass(Tensor) if isinstance(value, ElsewhereTensor) else value


@contextmanager
def other_device() -> Iterator[torch.device]:
    """While this lasts, `tensor.to(device)` goes to the other device."""
    with Pretending():
        yield ELSEWHERE
