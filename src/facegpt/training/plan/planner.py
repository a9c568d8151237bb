"""From a preset and some hardware to memory, step time, days and the largest batch that fits.

Every number is a formula of `work.py` and `memory.py` or an assumption of `hardware.py`; a plan
carries its assumptions. Loads no torch.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path

from facegpt.training.config import TrainConfig
from facegpt.training.plan.hardware import (
    EXAMPLE_SECONDS,
    FACE_BYTES,
    FACE_SECONDS,
    GIGABYTE,
    LINK_UTILISATION,
)
from facegpt.training.plan.memory import (
    SHARDINGS,
    Memory,
    Numbers,
    Sharding,
    count_memory,
    weight_bytes,
)
from facegpt.training.plan.request import Hardware, Load
from facegpt.training.plan.shapes import (
    LLAVA_7B_CONFIG,
    LLAVA_7B_NAME,
    NANO_CONFIG,
    ModelShape,
    PlanError,
    config_of,
    model_shape,
)
from facegpt.training.plan.work import (
    Batch,
    Flops,
    Learning,
    Parameters,
    count_flops,
    count_parameters,
)

THETA = 257
_MOST_EXAMPLES = 1 << 14
_SECONDS_PER_DAY = 86400


_WORDS = 128
"""Tokens of question and answer where nobody says otherwise."""


@dataclass(frozen=True)
class Plan:
    """What a training takes."""

    config: TrainConfig
    hardware: Hardware
    load: Load
    base: str
    """What the sizes are those of."""
    shape: ModelShape
    learning: Learning
    numbers: Numbers
    batch: Batch
    parameters: Parameters
    flops: Flops
    memory: dict[Sharding, Memory]
    """On one GPU, for every way to divide."""
    largest: dict[Sharding, int]
    """The largest batch per GPU that fits; 0: not even one example."""
    times: "Times"
    steps: int

    @property
    def chosen(self) -> Memory:
        """The memory of the way that was asked for."""
        return self.memory[self.hardware.sharding]

    @property
    def fits(self) -> bool:
        """Whether the batch asked for fits a GPU."""
        return self.largest[self.hardware.sharding] >= self.batch.examples

    @property
    def examples_per_step(self) -> int:
        """Examples behind an update, over all GPUs."""
        return self.config.examples_per_step * self.hardware.gpus

    @property
    def days(self) -> float:
        """Of the whole run, without validation and checkpoints."""
        return self.steps * self.times.step / _SECONDS_PER_DAY

    @property
    def passes(self) -> float:
        """How often a photo is shown."""
        return self.steps * self.examples_per_step * photo_share(self.config) / self.load.images


@dataclass(frozen=True)
class Times:
    """Seconds of an update."""

    network: float
    faces: float
    """Rendering and judging them."""
    data: float
    """What making examples adds beyond what happens beside the network."""
    links: float
    """What sending weights and gradients adds."""

    @property
    def step(self) -> float:
        """The whole update."""
        return self.network + self.faces + self.data + self.links


def plan(config: TrainConfig, hardware: Hardware, load: Load) -> Plan:
    """Plan a run of a language model.

    Raises:
        PlanError: The recipe trains no language model, or its base is of an unknown kind.
    """
    name, shape = base_shape(config)
    learning = learning_of(config, shape)
    numbers = numbers_of(config, on_cpu=hardware.gpu == "cpu")
    batch = batch_of(config, shape, load)
    memory, largest = {}, {}
    for sharding in SHARDINGS:
        memory[sharding] = _memory(shape, learning, batch, numbers, hardware, sharding)
        largest[sharding] = _largest(shape, learning, batch, numbers, hardware, sharding)
    flops = count_flops(shape, learning, batch)
    parameters = count_parameters(shape, learning)
    all_weights = weight_bytes(shape, parameters, numbers) + numbers.size * parameters.trainable
    return Plan(
        config=config,
        hardware=hardware,
        load=load,
        base=name,
        shape=shape,
        learning=learning,
        numbers=numbers,
        batch=batch,
        parameters=parameters,
        flops=flops,
        memory=memory,
        largest=largest,
        times=_times(config, hardware, batch, flops, all_weights, parameters),
        steps=_steps(config, hardware, load),
    )


def base_shape(config: TrainConfig) -> tuple[str, ModelShape]:
    """Name and sizes of the model that a run starts from: of a folder's config.json, or known.

    Raises:
        PlanError: The recipe trains no language model, or its base is of an unknown kind.
    """
    if config.recipe == "nano":
        return "SmolLM2-135M with the tower of nano", model_shape(NANO_CONFIG)
    if config.recipe != "pretrained":
        raise PlanError(
            f"the planner knows recipes that start from a language model (nano, pretrained), not "
            f"{config.recipe!r}; try: facegpt plan --preset llava-7b"
        )
    folder = Path(config.base)
    if folder.is_dir():
        return config.base, model_shape(config_of(folder))
    if config.base == LLAVA_7B_NAME:
        return config.base, model_shape(LLAVA_7B_CONFIG)
    raise PlanError(
        f"the sizes of {config.base or 'no base'} are not known: there is no such folder, and of "
        f"models by name the planner knows {LLAVA_7B_NAME}; give the folder of a LLaVA with --base"
    )


def learning_of(config: TrainConfig, shape: ModelShape) -> Learning:
    """What a run trains.

    Raises:
        PlanError: More layers are frozen than there are.
    """
    if config.freeze_below >= shape.decoder.layers:
        raise PlanError(
            f"--freeze-below {config.freeze_below} freezes all {shape.decoder.layers} layers"
        )
    return Learning(
        rank=config.adapter.rank,
        dropout=config.adapter.dropout,
        head=(shape.decoder.hidden, *config.head_hidden_sizes, THETA),
        projector=config.adapter.projector,
        freeze_below=config.freeze_below,
        checkpointing=config.activation_checkpointing,
    )


def numbers_of(config: TrainConfig, *, on_cpu: bool) -> Numbers:
    """In which numbers a run computes; "auto" is bfloat16 on GPUs and float32 on CPUs, of which few
    compute with bfloat16."""
    bfloat16 = config.precision == "bfloat16" or (config.precision == "auto" and not on_cpu)
    return Numbers(bfloat16, config.quantise, mask_bytes=(2 if bfloat16 else 4) if on_cpu else 1)


def batch_of(config: TrainConfig, shape: ModelShape, load: Load) -> Batch:
    """The heaviest batch: every example has a picture and a face.

    Raises:
        PlanError: The picture alone has more tokens than an example.
    """
    picture = shape.vision.tokens
    tokens = load.sequence or picture + _WORDS
    if tokens < picture + load.answer_tokens:
        raise PlanError(
            f"--sequence {tokens} has no room for a picture of {picture} and an answer of "
            f"{load.answer_tokens} tokens; raise it"
        )
    count = config.batch_size
    return Batch(count, tokens, load.answer_tokens, count, count)


def photo_share(config: TrainConfig) -> float:
    """Share of examples that show a photo and ask for its face."""
    mixture = config.mixture
    kinds = (
        *(mixture.image, mixture.text, mixture.composed, mixture.situation, mixture.talk),
        *(mixture.replay, mixture.image_points, mixture.text_points),
    )
    return mixture.image / sum(kinds)


def _steps(config: TrainConfig, hardware: Hardware, load: Load) -> int:
    if load.epochs is None:
        return config.steps
    share = photo_share(config)
    if not share:
        raise PlanError("--epochs counts photos, and --mixture.image is zero; give --steps")
    return math.ceil(load.epochs * load.images / (config.examples_per_step * hardware.gpus * share))


def _memory(
    shape: ModelShape,
    learning: Learning,
    batch: Batch,
    numbers: Numbers,
    hardware: Hardware,
    sharding: Sharding,
) -> Memory:
    return count_memory(
        shape,
        learning,
        batch,
        numbers,
        gpus=hardware.gpus,
        sharding=sharding,
        face_bytes=FACE_BYTES,
        reserve=hardware.reserve,
    )


def _largest(
    shape: ModelShape,
    learning: Learning,
    batch: Batch,
    numbers: Numbers,
    hardware: Hardware,
    sharding: Sharding,
) -> int:
    """By halving: memory grows with the batch."""
    room = hardware.accelerator.memory_gb * GIGABYTE
    fitting, too_many = 0, _MOST_EXAMPLES
    while too_many - fitting > 1:
        count = (fitting + too_many) // 2
        tried = replace(batch, examples=count, pictures=count, faces=count)
        if _memory(shape, learning, tried, numbers, hardware, sharding).total <= room:
            fitting = count
        else:
            too_many = count
    return fitting


def _times(
    config: TrainConfig,
    hardware: Hardware,
    batch: Batch,
    flops: Flops,
    all_weights: float,
    parameters: Parameters,
) -> Times:
    """Of an update: `accumulation` batches, then the exchange of gradients."""
    one = flops.total / (hardware.accelerator.peak_tflops * 1e12 * hardware.utilisation)
    faces = batch.faces * FACE_SECONDS
    made = batch.examples * EXAMPLE_SECONDS / max(config.workers, 1)
    beside = one + faces if config.workers else 0.0
    rate = hardware.accelerator.link_gb * GIGABYTE * LINK_UTILISATION
    others = (hardware.gpus - 1) / hardware.gpus
    gathering = 0.0
    if hardware.sharding in ("zero3", "fsdp"):
        # Every layer is fetched on the way there and on the way back, while another one works.
        gathering = max(2 * others * all_weights / rate - one, 0.0)
    exchanged = 2 * others * 4 * parameters.trainable / rate
    times = config.accumulation
    return Times(
        network=times * one,
        faces=times * faces,
        data=times * max(made - beside, 0.0),
        links=times * gathering + exchanged,
    )
