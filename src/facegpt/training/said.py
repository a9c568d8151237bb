"""What the words for composed people say of theta, without the dice.

A composed person is one draw out of all whom a text fits: "a man with a narrow chin" has a nose,
a skin and an age that nobody spoke of. Taught that one draw, a head that sees a few thousand texts
learns much of it by heart. The mean of all people whom a text fits is the better teacher, and it
costs no language model: tens of thousands of people are composed in minutes, and theta is predicted
from which words and runs of two and three words stand in the text. Knows no picture and no network
but its own.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from facegpt.data.compose import compose_faces
from facegpt.data.conversations import face_request
from facegpt.data.mixture import seeded
from facegpt.morphable.model import MorphableModel

_LONGEST_RUN = 3
_AT_ONCE = 128


@dataclass(frozen=True)
class WordStudy:
    """How words are learnt."""

    people: int = 57_600
    """Composed for it, a short and a long text each. 0: composed people teach their own theta."""
    rounds: int = 3
    batch_size: int = 128
    learning_rate: float = 2e-3
    width: int = 384
    rarest: int = 25
    """Runs of words that come less often are not looked at."""

    def __post_init__(self) -> None:
        if self.people < 0:
            raise ValueError(f"--study.people must be zero or more, got {self.people}")
        for name in ("rounds", "batch_size", "width", "rarest"):
            if getattr(self, name) < 1:
                flag = name.replace("_", "-")
                raise ValueError(f"--study.{flag} must be at least 1, got {getattr(self, name)}")


def composed_requests(
    model: MorphableModel, people: int, seed: int
) -> tuple[list[str], Float[Tensor, "text parameter"]]:
    """Requests for composed people, a short and a long one for each, and the theta drawn."""
    texts: list[str] = []
    theta: list[Tensor] = []
    for first in range(0, people, _AT_ONCE):
        generator = seeded(seed, "said", first)
        count = min(_AT_ONCE, people - first)
        made = compose_faces(count, model, generator=generator)
        for said, drawn in zip(made.descriptions, made.theta.to_vector(), strict=True):
            for text in filter(None, (said.short, *said.descriptions[:1])):
                texts.append(face_request("text", text, generator))
                theta.append(drawn)
    return texts, torch.stack(theta)


class WordsToTheta(nn.Module):
    """Words -> the mean theta of the people they fit: a sum of vectors of words, and an MLP."""

    center: Tensor
    scale: Tensor

    def __init__(self, vocabulary: Sequence[str], parameters: int, width: int) -> None:
        """Predict the mean of everybody, until it has learnt."""
        super().__init__()
        self._places = {run: place for place, run in enumerate(vocabulary)}
        self.words = nn.EmbeddingBag(max(len(vocabulary), 1), width, mode="sum")
        self.straight = nn.Linear(width, parameters)
        end = nn.Linear(width, parameters)
        self.bent = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), end)
        nn.init.normal_(self.words.weight, std=0.02)
        for last in (self.straight, end):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        self.register_buffer("center", torch.zeros(parameters))
        self.register_buffer("scale", torch.ones(parameters))

    def numbers(self, text: str) -> Tensor:
        """Which runs of words of the vocabulary stand in a text."""
        return torch.tensor(
            sorted(self._places[run] for run in runs_of(text) if run in self._places),
            dtype=torch.long,
        )

    def standing(self, numbers: Sequence[Tensor]) -> Float[Tensor, "text parameter"]:
        """Theta in deviations from the mean, from the numbers of texts."""
        ends = torch.tensor([0, *(len(row) for row in numbers)]).cumsum(0)[:-1]
        words = self.words(torch.cat(list(numbers)), ends)
        return self.straight(words) + self.bent(words)

    @torch.no_grad()
    def forward(self, texts: Sequence[str]) -> Float[Tensor, "text parameter"]:
        """Theta of some texts. A text without a known word gets the mean of everybody."""
        parts = [torch.zeros(0, len(self.center))]
        parts += [
            self.standing([self.numbers(text) for text in texts[first : first + _AT_ONCE]])
            for first in range(0, len(texts), _AT_ONCE)
        ]
        return self.center + self.scale * torch.cat(parts)


def runs_of(text: str) -> set[str]:
    """The words of a text and the runs of two and three of them that no punctuation parts."""
    found: set[str] = set()
    for clause in re.split(r"[.,;:!?]", text.lower()):
        words = re.findall(r"[a-z'-]+", clause)
        for length in range(1, _LONGEST_RUN + 1):
            found.update(" ".join(words[i : i + length]) for i in range(len(words) - length + 1))
    return found


def study_words(
    texts: Sequence[str], theta: Float[Tensor, "text parameter"], study: WordStudy, seed: int = 0
) -> WordsToTheta:
    """Learn the mean theta of the people that words fit, by least squares over a few rounds.

    Raises:
        ValueError: There are no texts, or not one theta for each.
    """
    if not texts or len(texts) != len(theta):
        raise ValueError(f"{len(texts)} texts and {len(theta)} thetas: need one each, at least one")
    generator = seeded(seed, "words")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        learner = WordsToTheta(_vocabulary(texts, study.rarest), theta.shape[1], study.width)
    learner.center.copy_(theta.mean(dim=0))
    learner.scale.copy_(theta.std(dim=0, correction=0).clamp(min=1e-3))
    wanted = (theta - learner.center) / learner.scale
    numbers = [learner.numbers(text) for text in texts]
    batches = [
        rows
        for _ in range(study.rounds)
        for rows in torch.randperm(len(texts), generator=generator).split(study.batch_size)
    ]
    optimiser = torch.optim.AdamW(learner.parameters(), lr=study.learning_rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, study.learning_rate, total_steps=len(batches)
    )
    for rows in batches:
        seen = learner.standing([numbers[row] for row in rows.tolist()])
        loss = (seen - wanted[rows]).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return learner.eval()


def _vocabulary(texts: Iterable[str], rarest: int) -> list[str]:
    counts = Counter(run for text in texts for run in runs_of(text))
    return sorted(run for run, count in counts.items() if count >= rarest)
