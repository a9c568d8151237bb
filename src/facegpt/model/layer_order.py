"""The same layers in the same order for every batch, pictures or not.

Processes that share their weights (FSDP2, DeepSpeed ZeRO) gather a layer together when it is
called, and add up its gradients together. If one batch has pictures and that of another process has
none, one of them would wait for ever. So the one without looks at a blank picture, at the moment in
which a backbone looks at pictures: after the rows of the words, before the decoder.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_leaves
from transformers import PreTrainedModel


@contextmanager
def looking_at(
    backbone: PreTrainedModel, picture: Mapping[str, Tensor] | None
) -> Iterator[list[Tensor]]:
    """While this lasts, the decoder is called after the picture was looked at.

    Args:
        picture: What the processor of the backbone makes of a picture; None: nothing happens.

    Yields:
        Filled by the call of the decoder: zeros to add to the loss, through which what was seen is
        reached by the gradient.
    """
    nothing: list[Tensor] = []
    if picture is None:
        yield nothing
        return

    def look(module: Any, inputs: Any) -> None:
        body: Any = backbone.base_model
        seen = body.get_image_features(**picture)
        nothing.extend(part[:0].float().sum() for part in _tensors(seen) if part.requires_grad)

    # Before all other hooks: those of ZeRO gather weights and write down who is called.
    handle = backbone.get_decoder().register_forward_pre_hook(look, prepend=True)
    try:
        yield nothing
    finally:
        handle.remove()


def _tensors(seen: Any) -> list[Tensor]:
    """What of a picture reaches the decoder, and nothing beside it: the way back, too, must pass
    the same layers."""
    found = [seen[name] for name in _REACHES_DECODER if seen.get(name) is not None]
    return [leaf for leaf in tree_leaves(found) if isinstance(leaf, Tensor)]


_REACHES_DECODER = ("pooler_output", "deepstack_features")
"""Names of transformers; the second is of Qwen3-VL."""
