"""What the answers of a model cost: tokens, which add up, and prices for a million of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Tokens:
    """What answers of a model were made of."""

    answers: int = 0
    uncounted: int = 0
    """Answers whose server did not say how many tokens they took."""
    prompt: int = 0
    completion: int = 0

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(
            self.answers + other.answers,
            self.uncounted + other.uncounted,
            self.prompt + other.prompt,
            self.completion + other.completion,
        )


NO_TOKENS = Tokens()


@dataclass(frozen=True)
class Prices:
    """What a million tokens cost, in whatever currency the server asks for."""

    prompt: float = 0.0
    completion: float = 0.0

    def __post_init__(self) -> None:
        for name, price in vars(self).items():
            if not price >= 0:
                raise ValueError(f"--{name}-price must be zero or more, got {price}")

    def cost(self, tokens: Tokens) -> float:
        """Of some answers; those that were not counted cost nothing here."""
        return (tokens.prompt * self.prompt + tokens.completion * self.completion) / 1e6

    def record(self, tokens: Tokens) -> Mapping[str, Any]:
        """Tokens, prices and what they come to, as JSON."""
        return {**vars(tokens), "prices_per_million": vars(self), "cost": self.cost(tokens)}


FREE = Prices()
