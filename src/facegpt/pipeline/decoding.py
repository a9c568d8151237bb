"""Rules for the choice of the next token, and an ear for the tokens that were chosen.

Sampling adds Gumbel noise of a generator to the logits and takes the largest, which draws from the
same distribution as softmax does and leaves the global generator of torch alone.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import LogitsProcessor, StoppingCriteria
from transformers.generation.streamers import BaseStreamer


class ForbidTokens(LogitsProcessor):
    """Some tokens never come."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self._tokens = list(tokens)

    def __call__(
        self, input_ids: Int[Tensor, "batch token"], scores: Float[Tensor, "batch vocabulary"]
    ) -> Float[Tensor, "batch vocabulary"]:
        """Scores in which they cannot win."""
        scores = scores.clone()
        scores[:, self._tokens] = -torch.inf
        return scores


class BeginWith(LogitsProcessor):
    """Answers begin with given tokens, and one token may not follow these at once."""

    def __init__(self, opening: Sequence[int], start: int, not_next: int) -> None:
        """`start`: the position in the whole sequence where answers begin."""
        self._opening = list(opening)
        self._start = start
        self._not_next = not_next

    def __call__(
        self, input_ids: Int[Tensor, "batch token"], scores: Float[Tensor, "batch vocabulary"]
    ) -> Float[Tensor, "batch vocabulary"]:
        """Scores in which nothing else can win, as long as the opening lasts."""
        step = input_ids.shape[1] - self._start
        if step > len(self._opening):
            return scores
        if step == len(self._opening):
            scores = scores.clone()
            scores[:, self._not_next] = -torch.inf
            return scores
        only = torch.full_like(scores, -torch.inf)
        only[:, self._opening[step]] = 0.0
        return only


class GumbelNoise(LogitsProcessor):
    """Makes greedy search draw from softmax(scores / temperature)."""

    def __init__(self, temperature: float, generator: torch.Generator) -> None:
        """The generator is one of the CPU, so that every device draws the same."""
        self._temperature = temperature
        self._generator = generator

    def __call__(
        self, input_ids: Int[Tensor, "batch token"], scores: Float[Tensor, "batch vocabulary"]
    ) -> Float[Tensor, "batch vocabulary"]:
        """Scores whose largest is the token drawn."""
        drawn = torch.rand(scores.shape, generator=self._generator, dtype=torch.float64)
        noise = -(-drawn.clamp(min=1e-300).log()).log()
        return scores / self._temperature + noise.to(scores)


class StopAtToken(StoppingCriteria):
    """A row ends with this token."""

    def __init__(self, token: int) -> None:
        self._token = token

    def __call__(self, input_ids: Int[Tensor, "batch token"], scores: Any, **kwargs: Any) -> Any:
        """Which rows have ended."""
        return input_ids[:, -1] == self._token


class StopAtLoop(StoppingCriteria):
    """A row ends when it says the same tokens twice in a row: small models may go on for ever."""

    def __init__(self, start: int, shortest: int = 16, longest: int = 64) -> None:
        """`start`: where the answer begins; a loop has `shortest` to `longest` tokens."""
        self._start = start
        self._lengths = range(shortest, longest + 1)

    def __call__(self, input_ids: Int[Tensor, "batch token"], scores: Any, **kwargs: Any) -> Any:
        """Which rows have ended."""
        said = input_ids[:, self._start :]
        loops = torch.zeros(len(said), dtype=torch.bool, device=said.device)
        for n in self._lengths:
            if 2 * n > said.shape[1]:
                break
            loops |= (said[:, -n:] == said[:, -2 * n : -n]).all(dim=1)
        return loops


class TokenListener(BaseStreamer):
    """Hands every generated token to a function; the prompt, which comes first, is passed over."""

    def __init__(self, listen: Callable[[int], None]) -> None:
        self._listen = listen
        self._prompt_is_over = False

    def put(self, value: Tensor) -> None:
        """Called by `generate` with the prompt, then with one token at a time."""
        if self._prompt_is_over:
            for token in value.flatten().tolist():
                self._listen(token)
        self._prompt_is_over = True

    def end(self) -> None:
        """Called by `generate` after the last token."""
