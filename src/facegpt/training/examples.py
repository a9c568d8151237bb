"""The examples of a run from the data that its config names, and those kept back for validation.

The mixture itself is `data.mixture`; here is what a run adds to it: which faces are kept back, how
photos are changed, and whose theta counts. Knows no model.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from facegpt.data.examples import (
    Example,
    ExampleSource,
    FaceTarget,
    ImageToFace,
    TextToFace,
)
from facegpt.data.instructions import Instruction, read_llava_json, read_replay
from facegpt.data.landmark_examples import ImageToLandmarks, TextToLandmarks
from facegpt.data.mixture import Mixture, MixtureSettings, face_mixture, seeded
from facegpt.data.situations import read_situations
from facegpt.data.streaming import StreamSettings
from facegpt.data.table import FaceTable
from facegpt.morphable.framing import CROP_SIZE
from facegpt.morphable.parameters import BLOCK_SIZES, PARAMETER_COUNT
from facegpt.morphable.registry import load_morphable_model
from facegpt.training.augmentation import Augmentation, augment
from facegpt.training.config import TrainConfig, TrainConfigError

_OF_PHOTOS = (ImageToFace, TextToFace)
"""Their theta was fitted or predicted, not drawn."""

_OF_DATA = ("image", "text", "talk", "image_points", "text_points")
"""Kinds of examples that are made of `--data`."""

_AS_WORDS_SAY = replace(Augmentation(), mirror=0.0)


@dataclass(frozen=True)
class Reshuffled:
    """A few examples drawn over and over, each time round in another order."""

    pool: Sequence[Example]
    length: int
    seed: int

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Example:
        """Example `index`, which depends on nothing but the seed and the index."""
        if not 0 <= index < self.length:
            raise IndexError(index)
        round_, place = divmod(index, len(self.pool))
        order = torch.randperm(len(self.pool), generator=seeded(self.seed, "round", round_))
        return self.pool[int(order[place])]


@dataclass(frozen=True)
class WithoutTheta:
    """Photos whose fitted theta does not count: the picture alone speaks."""

    source: ExampleSource

    def __len__(self) -> int:
        return len(self.source)

    def example(self, row: int, generator: torch.Generator) -> Example:
        """The example without theta in its target."""
        example = self.source.example(row, generator)
        if example.target is None:
            return example
        return replace(example, target=replace(example.target, theta=None, theta_mask=None))


@dataclass(frozen=True)
class Drawn:
    """Examples of a run and of its validation."""

    training: Mixture
    held_out: list[Example]


def draw_examples(config: TrainConfig, length: int) -> Drawn:
    """What a run of `length` examples learns from.

    Raises:
        TrainConfigError: The config names no data for a kind that it wants.
        DatasetError: The data cannot be used, or has nothing of a kind.
    """
    _check_sources(config)
    faces = FaceTable(config.data, stream=stream_settings(config)) if config.data else None
    kept_back: list[int] = []
    if faces is not None and not config.validation_data:
        kept_back = kept_back_rows(config, faces)
    rows = None if faces is None else sorted(set(range(len(faces))) - set(kept_back))
    model = None
    mixture = config.mixture
    if mixture.composed > 0 or mixture.situation > 0 or mixture.note > 0:
        model = load_morphable_model(config.morphable_model)
    training = face_mixture(
        MixtureSettings(**vars(mixture), run=config.batch_size, length=length, seed=config.seed),
        faces=faces,
        rows=rows,
        model=model,
        situations=[s for path in config.situations for s in read_situations(path)],
        instructions=_instructions(config),
        augment=changed if config.augment else None,
    )
    if not config.supervise_photos:
        sources = {
            kind: WithoutTheta(source) if isinstance(source, _OF_PHOTOS) else source
            for kind, source in training.sources.items()
        }
        training = Mixture(training.settings, sources, training.orders)
    return Drawn(training, _held_out(config, faces, kept_back))


def changed(target: FaceTarget, generator: torch.Generator) -> FaceTarget:
    """A face moved, recoloured and cut off a little; of its theta the camera no longer counts."""
    crops = augment(
        (target.photo * 255).round().byte()[None],
        target.skin[None],
        target.landmarks68_px[None],
        torch.tensor([target.is_grey]),
        size=CROP_SIZE,
        how=_AS_WORDS_SAY,
        generator=generator,
    )
    mask = target.theta_mask
    if target.theta is not None:
        mask = torch.ones(PARAMETER_COUNT, dtype=torch.bool) if mask is None else mask.clone()
        mask[-BLOCK_SIZES["camera"] :] = False
    return FaceTarget(
        crops.photo[0],
        crops.skin[0],
        crops.landmarks68_px[0],
        bool(crops.is_grey[0]),
        target.theta,
        mask,
    )


def _check_sources(config: TrainConfig) -> None:
    mixture = config.mixture
    wanted = {
        "--data": (sum(getattr(mixture, kind) for kind in _OF_DATA), config.data),
        "--situations": (mixture.situation, config.situations),
        "--instructions": (mixture.replay, config.instructions),
    }
    for flag, (share, given) in wanted.items():
        if share > 0 and not given:
            raise TrainConfigError(
                f"the mixture wants examples from {flag}, which is not given; give it, or set the "
                f"shares of its kinds to zero (--mixture.image 0 and so on)"
            )


def _instructions(config: TrainConfig) -> list[Sequence[Instruction]]:
    """Files of the base's own answers end in .jsonl."""
    return [
        read_replay(path)
        if path.suffix == ".jsonl"
        else read_llava_json(path, config.instruction_images)
        for path in config.instructions
    ]


def stream_settings(config: TrainConfig) -> StreamSettings:
    """How the data of a run is read where it lies elsewhere."""
    return StreamSettings(config.stream_window, config.stream_memory_mb)


def kept_back_rows(config: TrainConfig, faces: FaceTable) -> list[int]:
    """Faces that are not learnt from.

    Raises:
        TrainConfigError: They would be all.
    """
    if config.held_out >= len(faces):
        raise TrainConfigError(
            f"--held-out {config.held_out} leaves nothing of {len(faces)} faces to learn from; "
            "lower it"
        )
    return faces.sample(config.held_out, seeded(config.seed, "held out"))


def _held_out(config: TrainConfig, faces: FaceTable | None, kept_back: list[int]) -> list[Example]:
    """Every face kept back once by its photo, and once by its description if it has one; their
    points are asked for, too, if the mixture asks for points."""
    if config.validation_data:
        faces = FaceTable(config.validation_data, stream=stream_settings(config))
        kept_back = list(range(min(config.held_out, len(faces))))
    if faces is None or not kept_back:
        return []
    described = set(faces.with_text("descriptions").tolist())
    told = [row for row in kept_back if row in described]
    sources: list[ExampleSource] = []
    points = config.mixture.image_points + config.mixture.text_points
    if config.mixture.makes_faces or not points:
        photos = ImageToFace(faces, kept_back, most_turns=0)
        sources += [WithoutTheta(photos), WithoutTheta(TextToFace(faces, told, short=0.0))]
    if config.mixture.image_points > 0:
        sources.append(ImageToLandmarks(faces, kept_back))
    if config.mixture.text_points > 0:
        sources.append(TextToLandmarks(faces, told))
    return [
        source.example(row, seeded(config.seed, "validation", row))
        for source in sources
        for row in range(len(source))
    ]
