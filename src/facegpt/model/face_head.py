"""From the hidden state of `<FACE>` to theta (eq. 2a), always in float32.

Knows neither the language model before it nor the morphable model behind it.
"""

import itertools
import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

FIRST_SPREAD = 0.1
"""Of the numbers that an untrained head writes, for hidden units of size one: it begins near the
mean face whatever its width."""


class _ExactLinear(nn.Linear):
    """Computes in float32 whatever the dtype of its weights. A layer that is called, not only
    read: ZeRO-3 gathers weights when their module is called."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.linear(input, self.weight.float(), self.bias.float())


class FaceHead(nn.Module):
    """theta = center + scale * MLP(h), GELU between the layers."""

    def __init__(self, sizes: Sequence[int]) -> None:
        """Weights as torch draws them; see `reset`.

        Args:
            sizes: Of the hidden state, the hidden layers and theta.
        """
        super().__init__()
        pairs = itertools.pairwise(sizes)
        self.layers = nn.ModuleList(
            _ExactLinear(size_in, size_out, dtype=torch.float32) for size_in, size_out in pairs
        )

    @torch.no_grad()
    def reset(self, generator: torch.Generator | None = None) -> None:
        """Draw the weights anew: Xavier, the last layer small."""
        for layer in self.layers:
            assert isinstance(layer, nn.Linear)
            nn.init.xavier_uniform_(layer.weight, generator=generator)
            nn.init.zeros_(layer.bias)
        last = self.layers[-1]
        assert isinstance(last, nn.Linear)
        spread = FIRST_SPREAD / math.sqrt(last.in_features)
        nn.init.normal_(last.weight, std=spread, generator=generator)

    def forward(
        self,
        hidden: Float[Tensor, "face hidden"],
        center: Float[Tensor, "parameter"] | None = None,
        scale: Float[Tensor, "parameter"] | None = None,
    ) -> Float[Tensor, "face parameter"]:
        """In float32 whatever the dtype of the hidden states, the weights or an autocast around."""
        # On the meta device, which computes nothing, there is no autocast to turn off.
        device = "cpu" if hidden.is_meta else hidden.device.type
        with torch.autocast(device_type=device, enabled=False):
            values = hidden.float()
            for index, layer in enumerate(self.layers):
                values = layer(functional.gelu(values) if index else values)
            values = values if scale is None else values * scale
            return values if center is None else values + center
