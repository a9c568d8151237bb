"""L_txt (eq. 4): cross entropy of the labelled tokens, computing logits for those only.

Rows of the vocabulary are many and answers short: most positions of a prompt need no logits. It
equals the loss of the backbone itself, the slow twin that the tests compare with.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

IGNORED = -100
"""Label of a token that is not learnt."""


@dataclass(frozen=True)
class TextLoss:
    """Cross entropies in nats, float32."""

    mean: Float[Tensor, ""]
    """Over all labelled tokens; zero when there is none."""
    row_means: Float[Tensor, "batch"]
    """Over the labelled tokens of each row; zero in a row without any."""


def text_loss(
    hidden: Float[Tensor, "batch token hidden"],
    labels: Int[Tensor, "batch token"],
    output_rows: nn.Module,
) -> TextLoss:
    """L_txt.

    Args:
        hidden: Last layer, after the final norm.
        labels: The tokens themselves, not shifted: position n is learnt from position n - 1.
        output_rows: From hidden states to logits.
    """
    targets = labels[:, 1:]
    rows, positions = (targets != IGNORED).nonzero(as_tuple=True)
    logits = output_rows(hidden[rows, positions])
    losses = functional.cross_entropy(logits.float(), targets[rows, positions], reduction="none")
    counts = torch.bincount(rows, minlength=labels.shape[0]).clamp(min=1)
    sums = losses.new_zeros(labels.shape[0]).index_add(0, rows, losses)
    return TextLoss(losses.sum() / max(len(losses), 1), sums / counts)
