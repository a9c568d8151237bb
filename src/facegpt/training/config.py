"""What a training run is: one frozen dataclass that is the command line, the record and the manual.

`facegpt train PRESET --flag value` overrides the fields of a preset; `config.json` in the output
folder is the record that a resumed run is compared with. This module loads no torch and knows
nothing of models: the recipes that read it are in `run.py`.
"""

import dataclasses
import json
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal

from facegpt.model.number_types import Quantise

Schedule = Literal["linear", "cosine", "constant"]
Recipe = Literal["debug", "vision", "regression", "nano", "pretrained"]


class TrainConfigError(ValueError):
    """A training run that cannot be: an unknown preset, or settings that contradict a record."""


@dataclass(frozen=True)
class ObjectiveWeights:
    """The lambdas of eq. 3 and 5, and that of the supervised variant (Table 8)."""

    text: float = 1.0
    """Of L_txt, the cross entropy per answered token."""
    face: float = 0.1
    """Of L_face, the sum of the terms below, per face."""
    from_text: float = 1.0
    """What L_face of a face made from words counts beside one made from a photo. Words leave pose
    and detail open, so most of its landmark error is noise that no weights can remove; below 1 it
    drowns the photos less. The L1 distance of theta is not scaled."""
    pixel: float = 0.5
    perceptual: float = 0.25
    landmark: float = 5e-4
    regularisation: float = 0.1
    theta: float = 0.0
    """Of the L1 distance to a known theta; 0 = self-supervised."""
    measured: float = 0.0
    """Of the distance in measurements (smile, mouth, turn, skin ...) between a face made from words
    and a known theta; no part of the paper."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value >= 0:
                raise ValueError(f"--weights.{name} must be zero or more, got {value}")

    @property
    def face_terms(self) -> dict[str, float]:
        """Term of L_face -> lambda."""
        return {
            k: v
            for k, v in vars(self).items()
            if k not in ("text", "face", "from_text", "measured")
        }


@dataclass(frozen=True)
class AdapterSettings:
    """What learns beside the face head and the rows of <FACE>: LoRA on every linear layer of the
    decoder."""

    rank: int = 16
    alpha: float = 32.0
    """The update is scaled by alpha / rank."""
    dropout: float = 0.05
    projector: bool = True
    """Whether what lies between vision encoder and decoder learns, too."""

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ValueError(f"--adapter.rank must be at least 1, got {self.rank}")
        if not self.alpha > 0:
            raise ValueError(f"--adapter.alpha must be positive, got {self.alpha}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"--adapter.dropout must be in [0, 1), got {self.dropout}")


@dataclass(frozen=True)
class OptimiserSettings:
    """AdamW and its learning rate over time."""

    learning_rate: float = 2e-5
    """Peak of the LoRA weights, and of the groups below that name none of their own."""
    head_learning_rate: float | None = None
    """Peak of the face head and the projector."""
    token_learning_rate: float | None = None
    """Peak of the embedding rows of <FACE>."""
    weight_decay: float = 0.0
    warmup_steps: int = 100
    schedule: Schedule = "linear"
    """How the rate falls after the warm-up: to zero along a line or a half cosine, or not at all.
    The last step is that of `--steps`, whatever `--minutes` allows."""
    clip_norm: float = 1.0
    """Longest gradient; 0 = never shortened."""

    def __post_init__(self) -> None:
        for name in ("learning_rate", "head_learning_rate", "token_learning_rate"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"--optimiser.{_flag(name)} must be positive, got {value}")
        for name in ("weight_decay", "warmup_steps", "clip_norm"):
            if not getattr(self, name) >= 0:
                value = getattr(self, name)
                raise ValueError(f"--optimiser.{_flag(name)} must be zero or more, got {value}")

    @property
    def rates(self) -> dict[str, float]:
        """Group of weights -> peak learning rate."""
        return {
            "adapter": self.learning_rate,
            "head": self.head_learning_rate or self.learning_rate,
            "token": self.token_learning_rate or self.learning_rate,
        }


@dataclass(frozen=True)
class MixtureShares:
    """How often each kind of example is drawn, relative to the others (`data.mixture`).

    A batch holds examples of one kind, which pads least; `accumulation` mixes kinds in an update.
    """

    image: float = 1.0
    """A photo is shown, its face asked for."""
    text: float = 1.0
    """A description is given; the photo serves the loss alone."""
    composed: float = 0.0
    """The same with people who were never photographed; theta is known."""
    situation: float = 0.0
    """An everyday situation; 0 trains the zero-shot variant."""
    talk: float = 0.5
    """Questions about a photo that words answer."""
    replay: float = 1.0
    """Instruction data, so that the language model stays what it was."""
    image_points: float = 0.0
    """A photo is shown, its 68 points are asked for as text (LLaVA-Key, A.2)."""
    text_points: float = 0.0
    """A description is given, the 68 points of its photo are asked for as text."""
    reason: float = 0.5
    """Share of answers to situations that first say in words how such a face looks."""
    short: float = 0.25
    """Share of short phrases among descriptions."""
    implicit: float = 0.0
    """Share of implicit sentences among texts; 0 keeps them for evaluation."""
    turns_before: int = 2
    """A photo's face is asked for after 0 to this many questions about the photo."""
    talk_turns: int = 4
    """Talk about a photo has one to so many questions."""
    unmeasured: float = 0.0
    """Share of the talk in which a question is asked that measurements cannot answer (age,
    clothes ...); the answer says so. Only for describers that measure."""
    note: float = 0.0
    """Share of the talk about photos beside which lines of measured words stand; of requests for
    their faces six tenths as many. Above zero the weights ask for them in use, too."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value >= 0:
                raise ValueError(f"--mixture.{_flag(name)} must be zero or more, got {value}")
        for name in ("reason", "short", "implicit", "unmeasured", "note"):
            if getattr(self, name) > 1:
                raise ValueError(f"--mixture.{name} must be in [0, 1], got {getattr(self, name)}")
        if self.talk_turns < 1:
            raise ValueError(f"--mixture.talk-turns must be at least 1, got {self.talk_turns}")
        others = (self.talk, self.replay, self.image_points, self.text_points)
        if not self.makes_faces and not sum(others) > 0:
            raise ValueError("--mixture needs at least one kind above zero")

    @property
    def makes_faces(self) -> bool:
        """Whether some kind of example asks for `<FACE>`."""
        return self.image + self.text + self.composed + self.situation > 0


@dataclass(frozen=True)
class TrainConfig:
    """A training run."""

    recipe: Recipe = "pretrained"
    """Which parts are put together: debug (tiny, random), vision (the tower of nano), regression
    (an MLP on that tower, frozen; no language model), nano, or pretrained (any image-text-to-text
    model of Hugging Face on this disk)."""
    base: str = ""
    """Folder or name of the model to start from, for the recipes that start from one; `nano` is the
    shipped one."""
    data: tuple[str | Path, ...] = ()
    """Folders that `facegpt data build` wrote, or addresses of such folders: s3://bucket/faces,
    hf://datasets/NAME/faces, file:///faces. What lies elsewhere is fetched file by file."""
    validation_data: tuple[str | Path, ...] = ()
    """The same for validation; without it `held_out` faces of `data` are kept back."""
    stream_window: int = 4
    """Files of data elsewhere whose rows are shuffled together."""
    stream_memory_mb: int = 1024
    """For files that were fetched, per process."""
    situations: tuple[Path, ...] = ()
    """JSONL files of everyday situations, for `mixture.situation`; a file named twice is drawn
    twice as often."""
    instructions: tuple[Path, ...] = ()
    """For `mixture.replay`: LLaVA-format .json, or .jsonl of prompts and answers of the base."""
    instruction_images: Path | None = None
    """Folder of the pictures that LLaVA-format instructions name."""
    augment: bool = True
    """Turn, shift, scale, recolour and cut photos a little; never mirrored, words know left and
    right."""
    balance: str = ""
    """Label of the data whose rare groups are drawn twice as often (preset vision)."""
    freeze_below: int = 0
    """Layers of the decoder below this number, the projector and the row of <FACE> keep what they
    have learnt; a step then skips their gradients. For going on from trained weights."""
    supervise_photos: bool = False
    """Also compare with the theta that was fitted to photos (Table 8), not only with theta that is
    known because the face was composed."""
    output: Path = Path("runs/latest")
    """Checkpoints, log and pictures. A run that finds its own checkpoints here goes on."""
    morphable_model: str = "default"
    identity: Literal["auto", "arcface", "dlib"] = "dlib"
    """Network of L_perc. auto: ArcFace where its asset was added, else dlib's; the record of the
    run says which."""
    head_hidden_sizes: tuple[int, ...] = (5120, 5120)
    """Widths between the hidden state and theta."""
    weights: ObjectiveWeights = field(default_factory=ObjectiveWeights)
    adapter: AdapterSettings = field(default_factory=AdapterSettings)
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)
    mixture: MixtureShares = field(default_factory=MixtureShares)
    perceptual_every: int = 1
    """The identity network costs more than a rendering: it speaks at every n-th step, n times as
    loud; 0 = never."""
    steps: int = 10_000
    """Updates of the weights, those of earlier parts of the run included."""
    minutes: float | None = None
    """Stop after this time, with a checkpoint; a later call goes on."""
    batch_size: int = 8
    """Examples at once and per process."""
    accumulation: int = 4
    """Batches per update."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """auto: bfloat16 where the hardware computes with it, else float32."""
    quantise: Quantise = "none"
    """Hold the frozen linear maps of the decoder in 8 or 4 bits (QLoRA); what learns is not
    quantised. Needs bitsandbytes."""
    activation_checkpointing: bool = False
    """Recompute activations on the way back: half the memory, a third more time."""
    workers: int = 0
    """Processes that prepare batches; 0 prepares them in the training process."""
    seed: int = 0
    log_every: int = 10
    """Steps between lines of log.jsonl."""
    save_every: int = 500
    """Steps between checkpoints; 0 = only at the end."""
    save_minutes: float | None = 30.0
    """At most this time between checkpoints, whatever `save_every` says."""
    keep: int = 2
    """Checkpoints to keep beside the best."""
    validate_every: int = 500
    """Steps between validations; 0 = never, and no best is kept."""
    held_out: int = 64
    """Faces of validation: kept back from `data`, or the first of `validation_data`."""
    best_metric: str = "face"
    """The validation number that decides which weights are the best."""
    best_is_highest: bool = False
    sheet_every: int = 500
    """Steps between contact sheets; 0 = none."""
    sheet_faces: int = 8
    tensorboard: bool = True
    """Also write TensorBoard events, when the package is installed."""
    processes: int | None = None
    """Processes that the launcher must have started, or the run refuses to begin; None: as many as
    it started. The record of the run holds the number."""
    fsdp: bool = False
    """Shard the weights over the processes with PyTorch's FSDP2."""
    deepspeed: Path | None = None
    """A DeepSpeed JSON, such as configs/deepspeed/zero2.json."""
    patience_minutes: float = 15.0
    """A process that has waited so long for the others gives the run up."""

    def __post_init__(self) -> None:
        for name in ("data", "validation_data"):
            object.__setattr__(self, name, tuple(map(_place, getattr(self, name))))
        for name in (
            *("steps", "batch_size", "accumulation", "log_every", "keep", "sheet_faces"),
            *("stream_window", "stream_memory_mb"),
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"--{_flag(name)} must be at least 1, got {getattr(self, name)}")
        for name in (
            "freeze_below",
            "perceptual_every",
            "workers",
            "save_every",
            "validate_every",
            "held_out",
            "sheet_every",
        ):
            if getattr(self, name) < 0:
                raise ValueError(f"--{_flag(name)} must be zero or more, got {getattr(self, name)}")
        for name in ("minutes", "save_minutes", "patience_minutes", "processes"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"--{_flag(name)} must be positive, got {value}")
        if any(size < 1 for size in self.head_hidden_sizes):
            raise ValueError(f"--head-hidden-sizes must be positive, got {self.head_hidden_sizes}")
        if self.mixture.situation > 0 and not self.weights.theta > 0:
            raise ValueError(
                "--mixture.situation needs --weights.theta above zero: of a situation nothing but "
                "the expression is known, and no picture could teach it"
            )
        if self.supervise_photos and not self.weights.theta > 0:
            raise ValueError("--supervise-photos needs --weights.theta above zero")
        if self.recipe == "nano" and not self.adapter.projector:
            raise ValueError("--adapter.no-projector: the projector of nano is new and must learn")
        if self.recipe in ("vision", "regression") and self.quantise != "none":
            raise ValueError(f"--quantise {self.quantise}: this recipe has no language model")
        if self.fsdp and self.deepspeed is not None:
            raise ValueError("--fsdp and --deepspeed both shard the weights: give one of them")
        if self.is_sharded and self.recipe in ("vision", "regression"):
            raise ValueError(
                f"--fsdp and --deepspeed are for language models: the recipe {self.recipe!r} fits "
                "on every device; start several processes without them"
            )

    @property
    def is_sharded(self) -> bool:
        """Whether no process holds all weights or their optimiser."""
        return self.fsdp or self.deepspeed is not None

    @property
    def examples_per_step(self) -> int:
        """Examples behind one update, per process."""
        return self.batch_size * self.accumulation

    def to_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return json.loads(json.dumps(dataclasses.asdict(self), default=str))

    @staticmethod
    def from_record(record: Mapping[str, Any]) -> "TrainConfig":
        """The config of a record that `to_record` wrote.

        Raises:
            TrainConfigError: The record names a field that there is not.
        """
        return _from_record(TrainConfig, record)


FREE_TO_CHANGE = {
    *("steps", "minutes", "output", "workers", "log_every", "save_every", "save_minutes", "keep"),
    *("sheet_every", "sheet_faces", "tensorboard", "patience_minutes", "stream_memory_mb"),
}
"""Fields that a resumed run may have changed; any other would make it a run of another kind."""


def differences(old: TrainConfig, new: TrainConfig) -> list[str]:
    """What a resumed run may not change and has changed, one sentence each."""
    before, after = old.to_record(), new.to_record()
    return [
        f"{name} was {before[name]!r} and is now {after[name]!r}"
        for name in after
        if name not in FREE_TO_CHANGE and before[name] != after[name]
    ]


def _place(text: str | Path) -> str | Path:
    """An address stays as it is; everything else is a folder."""
    return text.rstrip("/") if isinstance(text, str) and "://" in text else Path(text)


def _flag(name: str) -> str:
    return name.replace("_", "-")


def _from_record(kind: Any, record: Mapping[str, Any]) -> Any:
    known = {f.name: f.type for f in fields(kind)}
    for name in record:
        if name not in known:
            raise TrainConfigError(
                f"the record of this run has a field {name!r} that this version of facegpt does "
                f"not know; train into a new folder: --output DIR"
            )
    return kind(**{name: _value(known[name], value) for name, value in record.items()})


def _value(annotation: Any, value: Any) -> Any:
    """A JSON value as the type of its field."""
    if is_dataclass(annotation):
        return _from_record(annotation, value)
    if typing.get_origin(annotation) is tuple:
        return tuple(_value(typing.get_args(annotation)[0], part) for part in value)
    options = typing.get_args(annotation) or (annotation,)
    # What may be an address is told from a folder by the config itself.
    return Path(value) if value is not None and Path in options and str not in options else value
