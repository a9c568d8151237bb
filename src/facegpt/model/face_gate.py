"""Whether a prompt asks for a face, read from the state in which the model begins its answer.

The paper leaves it to the language model when it writes `<FACE>` (section 3.1). A small model
knows better than it acts: its choice hangs on one word among many, but a straight line through its
hidden states separates requests from everything else. The gate is that line; where it says no,
`<FACE>` is never written, and where it says yes, the answer opens with it. Knows no wording.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional
from transformers import LogitsProcessor

Tokens = tuple[int, ...]


@dataclass(frozen=True)
class FaceWords:
    """How answers with a face begin, in tokens."""

    opening: Tokens
    """What an answer begins with where the gate says yes; the last one is `<FACE>`."""
    announcing: tuple[Tokens, ...] = ()
    """No answer begins with one of these where the gate says no: the words of a face would go on
    without one."""


class FaceGate(nn.Module):
    """A linear layer in float32: above zero a face is asked for."""

    def __init__(self, hidden_size: int) -> None:
        """It begins at zero, which is no: see `training.gate_stage`."""
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(hidden_size))
        self.bias = nn.Parameter(torch.zeros(1))

    @torch.no_grad()
    def reset(self) -> None:
        """Back to zero."""
        self.weight.zero_()
        self.bias.zero_()

    def forward(self, hidden: Float[Tensor, "prompt hidden"]) -> Float[Tensor, "prompt"]:
        """Log-odds that each prompt asks for a face.

        Args:
            hidden: State of the last layer (after the final norm) at the end of the prompt.
        """
        return functional.linear(
            hidden.float(), self.weight.float().unsqueeze(0), self.bias.float()
        )[:, 0]


class FollowGate(LogitsProcessor):
    """Makes generation do what a gate says."""

    def __init__(
        self,
        asked: Callable[[], Tensor],
        words: FaceWords,
        start: int,
    ) -> None:
        """For one batch.

        Args:
            asked: Gives a boolean for each prompt, whether it asks for a face; called once, when
                the prompts have been read.
            start: Where the answers begin.
        """
        self._ask = asked
        self._asked: Tensor | None = None
        self._words = words
        self._start = start

    def __call__(
        self, input_ids: Int[Tensor, "batch token"], scores: Float[Tensor, "batch vocabulary"]
    ) -> Float[Tensor, "batch vocabulary"]:
        """Scores in which only the opening, or no face, can win."""
        if self._asked is None:
            self._asked = self._ask().to(scores.device)
        written = input_ids[:, self._start :]
        step, opening = written.shape[1], self._words.opening
        scores = scores.clone()
        scores[~self._asked, opening[-1]] = -torch.inf
        for *before, last in self._words.announcing:
            if len(before) == step:
                begun = written == torch.tensor(before, dtype=torch.long, device=written.device)
                scores[~self._asked & begun.all(dim=1), last] = -torch.inf
        if step < len(opening):
            only = torch.full_like(scores, -torch.inf)
            only[:, opening[step]] = 0.0
            scores = torch.where(self._asked.unsqueeze(1), only, scores)
        return scores
