"""What a piece of work really takes: FLOPs and bytes counted while it runs, on any device.

On the meta device nothing is computed and no memory is taken, so a model of any size can be
counted. This is the slow twin of the formulas in this folder, which the tests compare with it.
Bytes are those of tensors, not what an allocator keeps beside them.
"""

import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class CountedBytes:
    """Memory of tensors that a piece of work made."""

    peak: int
    """Most that was alive at once."""
    kept: int
    """Still alive at the end: gradients, say."""


class _Ledger(TorchDispatchMode):
    """Adds up the storages that are alive, from the operations that make them."""

    def __init__(self, known: Iterable[Tensor]) -> None:
        super().__init__()
        self.now = self.peak = 0
        # The key is the storage itself: on the meta device all have the address zero.
        self._seen = {t.untyped_storage()._cdata for t in known}

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        made = function(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, Tensor):
                self._enter(leaf)
        return made

    def _enter(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._seen:
            return
        self._seen.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._leave, key, size)

    def _leave(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.now -= size


def count_bytes(work: Callable[[], Any], known: Iterable[Tensor] = ()) -> CountedBytes:
    """Do some work and count the memory of its tensors.

    Args:
        work: A forward pass, or an update; its result is dropped.
        known: Tensors that are there before and do not count: the weights.
    """
    ledger = _Ledger(known)
    with ledger:
        work()
    return CountedBytes(ledger.peak, ledger.now)


def count_flops_of(work: Callable[[], Any]) -> int:
    """Do some work and count its products of matrices, convolutions and attention.

    Not together with `count_bytes`: the counter of torch keeps recomputed activations alive. Fused
    attention on a CPU is not known to it: give the model plain attention.
    """
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()
