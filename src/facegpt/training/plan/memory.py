"""Bytes on one GPU, by formula: weights, gradients, optimiser, activations.

What a layer keeps for its way back is listed tensor by tensor; the tests compare the list with what
`meter.py` counts. Fused attention is assumed (queries, keys, values, result): keys and values are
repeated for every head, as transformers does beside a mask.
"""

from dataclasses import dataclass, fields
from typing import Literal

from facegpt.model.number_types import Quantise
from facegpt.training.plan.shapes import ModelShape
from facegpt.training.plan.work import Batch, Learning, Parameters, count_parameters

Sharding = Literal["none", "zero1", "zero2", "zero3", "fsdp"]
SHARDINGS: tuple[Sharding, ...] = ("none", "zero1", "zero2", "zero3", "fsdp")
"""`none` is DDP: a copy of everything on every GPU."""

_FLOAT32, _BFLOAT16 = 4, 2
_BYTES_PER_WEIGHT = {"8bit": 1.0, "4bit": 0.5 + 4 / 64}
"""Of quantised maps. 4 bits carry a float32 scale per 64 weights; 8 bits one per row, which is too
little to count."""
_GATHERED_LAYERS = 2
"""Whole layers that are alive at once under ZeRO-3 and FSDP: one that works, one that comes."""


@dataclass(frozen=True)
class Numbers:
    """In which numbers a run computes and where."""

    bfloat16: bool = True
    """Frozen weights and activations; what learns is float32 and cast for every product."""
    quantise: Quantise = "none"
    """The frozen linear maps of the decoder."""
    mask_bytes: int = 1
    """Per number that dropout lets through or not: 1 on a GPU, on a CPU as many as a number has."""

    @property
    def size(self) -> int:
        """Bytes of an activation or a frozen weight."""
        return _BFLOAT16 if self.bfloat16 else _FLOAT32


@dataclass(frozen=True)
class Memory:
    """Bytes on one GPU at the fullest moment of an update."""

    frozen_weights: float
    learning_weights: float
    """With the copies that autocast makes of them."""
    gradients: float
    optimiser: float
    activations: float
    """Kept for the way back; or the states of the vision encoder, where they take more."""
    working: float
    """Of the layer that is being computed, and of the logits."""
    gathered: float
    """Whole layers that ZeRO-3 and FSDP put together."""
    rendering: float
    """Faces drawn and judged."""
    reserve: float = 0.0
    """What the driver and the allocator take."""

    @property
    def total(self) -> float:
        """All of it."""
        return sum(getattr(self, field.name) for field in fields(self))


def layer_bytes(shape: ModelShape, learning: Learning, batch: Batch, numbers: Numbers) -> float:
    """What one layer of the decoder keeps per token for its way back."""
    size, decoder = numbers.size, shape.decoder
    attention = decoder.heads * decoder.head_size
    norms = 2 * _FLOAT32 * decoder.hidden  # computed in float32 whatever comes in
    mask = size * batch.tokens  # fused kernels take it as numbers that are added
    fused = size * 4 * attention + _FLOAT32 * decoder.heads + mask
    middle = size * 3 * decoder.intermediate  # gate, its activation, up
    down = size * learning.rank * len(decoder.linears)
    return norms + fused + middle + down + _lora_inputs(shape, learning, numbers)


def _lora_inputs(shape: ModelShape, learning: Learning, numbers: Numbers) -> float:
    """Inputs that LoRA keeps for the gradient of its first matrices: with dropout one and a mask
    for each map, without it one for maps that read the same."""
    linears = shape.decoder.linears
    if learning.dropout:
        return float(sum(width for width, _ in linears) * (numbers.size + numbers.mask_bytes))
    # q, k, v read one tensor and gate, up another; that of o is the result of the attention.
    (hidden, _), (middle, _) = linears[0], linears[6]
    return float(numbers.size * (2 * hidden + middle))


def activation_bytes(
    shape: ModelShape, learning: Learning, batch: Batch, numbers: Numbers
) -> tuple[float, float]:
    """What a batch keeps for the way back, and what works beside it.

    Returns:
        Bytes kept, and bytes of the layer and the logits that are being computed.
    """
    size, decoder, tokens = numbers.size, shape.decoder, batch.all_tokens
    layers = decoder.layers - learning.freeze_below
    layer = tokens * layer_bytes(shape, learning, batch, numbers)
    kept = tokens * _FLOAT32 * decoder.hidden + _projector_bytes(shape, learning, batch, size)
    kept += layers * (tokens * size * decoder.hidden if learning.checkpointing else layer)
    kept += _FLOAT32 * batch.faces * 2 * sum(learning.head)
    logits = batch.examples * batch.answer_tokens * decoder.vocabulary * (2 * _FLOAT32 + size)
    back = tokens * (3 * size * decoder.intermediate + 2 * size * decoder.hidden)
    if numbers.quantise != "none":
        back += size * max(a * b for a, b in decoder.linears)  # one map, unpacked
    working = max(logits, back + (layer if learning.checkpointing else 0.0))
    return float(kept), float(working)


def _projector_bytes(shape: ModelShape, learning: Learning, batch: Batch, size: int) -> float:
    """Its input, its middle before and after GELU; nothing where it is frozen."""
    if not learning.projector_learns:
        return 0.0
    values = shape.vision.width + 2 * shape.decoder.hidden
    return float(size * batch.pictures * shape.vision.tokens * values)


def weight_bytes(shape: ModelShape, parameters: Parameters, numbers: Numbers) -> float:
    """Of the frozen weights."""
    if numbers.quantise == "none":
        return float(parameters.frozen * numbers.size)
    quantised = shape.decoder.layers * shape.decoder.layer_parameters
    packed = quantised * _BYTES_PER_WEIGHT[numbers.quantise]
    return (parameters.frozen - quantised) * numbers.size + packed


def count_memory(
    shape: ModelShape,
    learning: Learning,
    batch: Batch,
    numbers: Numbers,
    *,
    gpus: int = 1,
    sharding: Sharding = "none",
    face_bytes: float = 0.0,
    reserve: float = 0.0,
) -> Memory:
    """The fullest moment of an update on one GPU.

    Args:
        sharding: What is divided among the GPUs: with ZeRO-1 the states of the optimiser, with
            ZeRO-2 the gradients, too, with ZeRO-3 and FSDP everything.
        face_bytes: Of a face that is rendered and judged.
        reserve: What the driver and the allocator take.
    """
    parameters = count_parameters(shape, learning)
    held = _held(parameters.trainable, gpus, sharding, numbers)
    frozen = weight_bytes(shape, parameters, numbers)
    gathered = 0.0
    if sharding in ("zero3", "fsdp"):
        frozen, gathered = frozen / gpus, _gathered(shape, learning, numbers)
    kept, working = activation_bytes(shape, learning, batch, numbers)
    seen = batch.pictures * shape.vision.kept_values * numbers.size
    return Memory(
        frozen_weights=frozen,
        learning_weights=held[0],
        gradients=held[1],
        optimiser=held[2],
        activations=max(kept, float(seen)),
        working=working,
        gathered=gathered,
        rendering=batch.faces * face_bytes,
        reserve=reserve,
    )


def _held(
    trainable: int, gpus: int, sharding: Sharding, numbers: Numbers
) -> tuple[float, float, float]:
    """Bytes of learning weights, their gradients and the states of AdamW (two moments).

    DDP and FSDP hold float32 and bfloat16 copies that autocast makes; DDP of several GPUs also
    buckets as large as the gradients. ZeRO holds bfloat16 weights and gradients and with the
    moments a float32 copy (Rajbhandari et al. 2020, section 3.1: 2 + 2 + 12 bytes).
    """
    casts = float(_BFLOAT16 * trainable if numbers.bfloat16 else 0)
    if sharding == "none":
        buckets = _FLOAT32 * trainable if gpus > 1 else 0.0
        return _FLOAT32 * trainable + casts, 1.0 * _FLOAT32 * trainable + buckets, 8.0 * trainable
    if sharding == "fsdp":
        share = trainable / gpus
        return _FLOAT32 * share + casts, _FLOAT32 * share, 8.0 * share
    size, everything = numbers.size, sharding == "zero3"
    weights = size * trainable / (gpus if everything else 1)
    gradients = size * trainable / (1 if sharding == "zero1" else gpus)
    return weights, gradients, (8.0 + (_FLOAT32 if numbers.bfloat16 else 0)) * trainable / gpus


def _gathered(shape: ModelShape, learning: Learning, numbers: Numbers) -> float:
    decoder = shape.decoder
    one = decoder.layer_parameters + learning.rank * sum(a + b for a, b in decoder.linears)
    return float(numbers.size * (_GATHERED_LAYERS * one + decoder.row_parameters))
