"""The stage in which the gate learns, on the states of a model that stays as it is.

It is a logistic regression: convex, so there is one best line, found in a second once the states
have been read. Both classes count the same, however many prompts each has. Knows no data set.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from facegpt.data.gate_prompts import GatePrompt
from facegpt.data.mixture import seeded
from facegpt.model.face_gate import FaceGate
from facegpt.model.modeling_facegpt import FaceGPTForConditionalGeneration
from facegpt.model.processing_facegpt import FaceGPTProcessor

_MOST_ROUNDS = 200
_FOLDS = 4


@dataclass(frozen=True, eq=False)
class PromptStates:
    """The states in which answers begin, and whether a face is asked for."""

    hidden: Float[Tensor, "prompt hidden"]
    asks_for_face: Bool[Tensor, "prompt"]

    def __len__(self) -> int:
        return len(self.hidden)

    def part(self, rows: Tensor) -> "PromptStates":
        """Some of them."""
        return PromptStates(self.hidden[rows], self.asks_for_face[rows])


def read_prompt_states(
    model: FaceGPTForConditionalGeneration,
    processor: FaceGPTProcessor,
    batches: Iterable[Sequence[GatePrompt]],
) -> PromptStates:
    """One forward pass for each batch, which holds prompts with a photo or prompts without."""
    model.eval()
    width = model.config.get_text_config().hidden_size
    hidden, asks = [torch.zeros(0, width)], []
    for prompts in batches:
        images = [[] if p.image is None else [p.image] for p in prompts]
        batch = processor.batch([p.messages for p in prompts], images, padding_side="left")
        states = model.prompt_states(**batch.to(model.device, model.dtype))
        hidden.append(states.float().cpu())
        asks += [p.asks_for_face for p in prompts]
    return PromptStates(torch.cat(hidden), torch.tensor(asks, dtype=torch.bool))


def fit_gate(gate: FaceGate, states: PromptStates, ridge: float = 1e-3) -> None:
    """Let a gate learn; it is overwritten.

    Args:
        ridge: Weight of the squared norm of the line, in coordinates of spread one.

    Raises:
        ValueError: Fewer than two prompts ask for a face, or fewer than two do not.
    """
    asks = states.asks_for_face
    if not 2 <= int(asks.sum()) <= len(asks) - 2:
        raise ValueError(
            f"{int(asks.sum())} of {len(asks)} prompts ask for a face: the gate needs at least "
            "two that do and two that do not"
        )
    mean, spread = states.hidden.mean(dim=0), states.hidden.std(dim=0).clamp(min=1e-6)
    line, shift = _regression((states.hidden - mean) / spread, asks, ridge)
    with torch.no_grad():
        gate.weight.copy_(line / spread)
        gate.bias.copy_(shift - (line / spread) @ mean)


def _regression(
    points: Float[Tensor, "prompt hidden"], asks: Bool[Tensor, "prompt"], ridge: float
) -> tuple[Float[Tensor, "hidden"], Float[Tensor, "1"]]:
    wanted = asks.float()
    share = wanted.mean()
    weight = torch.where(asks, 0.5 / share, 0.5 / (1 - share))
    line = torch.zeros(points.shape[1], requires_grad=True)
    shift = torch.zeros(1, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [line, shift], max_iter=_MOST_ROUNDS, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimiser.zero_grad()
        logits = points @ line + shift
        value = functional.binary_cross_entropy_with_logits(logits, wanted, weight)
        value = value + ridge * line.square().sum()
        value.backward()
        return value

    with torch.enable_grad():
        optimiser.step(loss)  # pyright: ignore[reportArgumentType]  (LBFGS wants the tensor)
    return line.detach(), shift.detach()


def held_out_accuracy(
    states: PromptStates, ridge: float = 1e-3, seed: int = 0
) -> tuple[float, float]:
    """How good such a gate is on prompts that it has not seen (four folds).

    Returns:
        Of the prompts that ask for a face, and of those that do not, the share it is right about.
    """
    order = torch.randperm(len(states), generator=seeded(seed, "folds"))
    right = torch.zeros(len(states), dtype=torch.bool)
    for fold in range(_FOLDS):
        held = order[fold::_FOLDS]
        rest = torch.cat([order[other::_FOLDS] for other in range(_FOLDS) if other != fold])
        gate = FaceGate(states.hidden.shape[1])
        fit_gate(gate, states.part(rest), ridge)
        with torch.no_grad():
            right[held] = (gate(states.hidden[held]) > 0) == states.asks_for_face[held]
    asks = states.asks_for_face
    return float(right[asks].float().mean()), float(right[~asks].float().mean())
