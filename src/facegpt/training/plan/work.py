"""Parameters and FLOPs of an update, by formula.

A product of matrices (a, b) and (b, c) takes 2abc. Of frozen weights the backward pass computes the
gradient of their input alone, of learning ones that of the weight, too. The tests compare with what
`meter.py` counts.
"""

from dataclasses import dataclass

from facegpt.training.plan.shapes import ModelShape


@dataclass(frozen=True)
class Learning:
    """What of a model learns, and how it is held."""

    rank: int
    """Of LoRA on every linear map of the decoder."""
    dropout: float
    head: tuple[int, ...]
    """Widths of the face head: hidden state, hidden layers, theta."""
    projector: bool = True
    freeze_below: int = 0
    """Layers of the decoder below it, the projector and the rows of `<FACE>` are frozen."""
    checkpointing: bool = False
    """Activations of a layer are computed again on the way back."""

    @property
    def head_parameters(self) -> int:
        """Weights and biases."""
        pairs = zip(self.head, self.head[1:], strict=False)
        return sum(a * b + b for a, b in pairs)

    @property
    def projector_learns(self) -> bool:
        """Whether anything but the decoder has to hear of the loss."""
        return self.projector and not self.freeze_below


@dataclass(frozen=True)
class Batch:
    """The examples that one GPU reads at once."""

    examples: int
    tokens: int
    """Per example, those of the picture included; shorter ones are padded to it."""
    answer_tokens: int
    """Of them answered: they alone need logits."""
    pictures: int
    """Examples with a picture."""
    faces: int
    """`<FACE>` tokens."""

    @property
    def all_tokens(self) -> int:
        """Of all examples."""
        return self.examples * self.tokens


@dataclass(frozen=True)
class Parameters:
    """How many weights."""

    frozen: int
    lora: int
    head: int
    projector: int
    token: int

    @property
    def trainable(self) -> int:
        """All that learn."""
        return self.lora + self.head + self.projector + self.token

    @property
    def total(self) -> int:
        """All."""
        return self.frozen + self.trainable


def count_parameters(shape: ModelShape, learning: Learning) -> Parameters:
    """Of a model with its adapter and its face head."""
    decoder = shape.decoder
    per_layer = learning.rank * sum(a + b for a, b in decoder.linears)
    lora = per_layer * (decoder.layers - learning.freeze_below)
    projector = shape.projector_parameters if learning.projector_learns else 0
    token = 0 if learning.freeze_below else decoder.hidden * (1 if decoder.tied else 2)
    rest = shape.parameters - projector + per_layer * learning.freeze_below
    rest += decoder.hidden * (1 if decoder.tied else 2) if learning.freeze_below else 0
    return Parameters(rest, lora, learning.head_parameters, projector, token)


@dataclass(frozen=True)
class Flops:
    """Of one batch on one GPU."""

    vision: float
    """Forward alone: it is frozen."""
    forward: float
    """Projector, decoder, logits and face head."""
    backward: float
    again: float
    """What activation checkpointing computes a second time."""

    @property
    def total(self) -> float:
        """All of them."""
        return self.vision + self.forward + self.backward + self.again


def count_flops(shape: ModelShape, learning: Learning, batch: Batch) -> Flops:
    """Forward and backward pass of a batch, attention by the plain formula (a fused kernel computes
    its scores a second time on the way back, another quarter of attention)."""
    decoder, tokens = shape.decoder, batch.all_tokens
    linear = 2.0 * tokens * decoder.layer_parameters
    lora = 2.0 * tokens * learning.rank * sum(a + b for a, b in decoder.linears)
    attention = 4.0 * batch.examples * batch.tokens**2 * decoder.heads * decoder.head_size
    layer = linear + lora + attention
    rows = 2.0 * batch.examples * batch.answer_tokens * decoder.row_parameters
    head = (
        2.0
        * batch.faces
        * sum(a * b for a, b in zip(learning.head, learning.head[1:], strict=False))
    )
    first, second = (2.0 * batch.pictures * shape.vision.tokens * a * b for a, b in shape.projector)
    learning_layers = decoder.layers - learning.freeze_below
    backward = learning_layers * (linear + 2 * lora + 2 * attention) + rows + 2 * head
    if learning.freeze_below:
        # Nothing below the first layer that learns wants the gradient of its input.
        queries_keys_values = decoder.linears[:3]
        backward -= 2.0 * tokens * sum(a * (b + learning.rank) for a, b in queries_keys_values)
    if learning.projector_learns:
        backward += first + 2 * second  # nothing in front of the first map wants its gradient
    return Flops(
        vision=float(batch.pictures * shape.vision.flops),
        forward=first + second + decoder.layers * layer + rows + head,
        backward=backward,
        again=learning_layers * layer if learning.checkpointing else 0.0,
    )
