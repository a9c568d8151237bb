"""Which example comes when: several kinds of data, weighted, seeded, at random access.

`mixture[i]` depends on the settings and i alone, so a run that resumes at step n needs nothing but
n, and workers need no seeds. In every block of 1,000 examples each kind has its exact share, and
every row of a kind comes once before one comes again. Knows no batch and no tokenizer.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import accumulate
from types import MappingProxyType

import torch
from torch import Tensor

from facegpt.data.examples import (
    Augment,
    ComposedToFace,
    Example,
    ExampleSource,
    FaceTarget,
    ImageToFace,
    Instructions,
    Notes,
    SituationToFace,
    Talk,
    TextToFace,
)
from facegpt.data.instructions import Instruction
from facegpt.data.landmark_examples import ImageToLandmarks, TextToLandmarks
from facegpt.data.schema import DatasetError
from facegpt.data.situations import Situation
from facegpt.data.table import FaceTable, StreamedRows
from facegpt.morphable.model import MorphableModel

__all__ = ["Example", "FaceTarget", "Mixture", "MixtureSettings", "Schedule", "face_mixture"]

BLOCK = 1000
"""Examples in which every kind has its exact share."""

_SHORT = {"text": "short text", "composed": "short composed"}
_REASONED = "reasoned situation"
"""Lengths that are runs of their own, so that a batch of one kind is padded little."""


@dataclass(frozen=True)
class MixtureSettings:
    """How often each kind of data is drawn, relative to the others, and how examples are made."""

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
    replay: float = 0.0
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
    """Share of implicit sentences among the texts of faces that have some; 0 keeps them for
    evaluation."""
    turns_before: int = 2
    """A photo's face is asked for after 0 to this many questions about the photo (A.3)."""
    talk_turns: int = 4
    """Talk about a photo has one to so many questions."""
    unmeasured: float = 0.0
    """Share of the talk in which a question is asked that measurements cannot answer (age,
    clothes ...); the answer says so. Only for describers that measure."""
    note: float = 0.0
    """Share of the talk about photos beside which lines of measured words stand (`face_note`);
    of requests for their faces six tenths as many."""
    run: int = 1
    """So many examples of one kind follow each other. The size of a batch makes batches of one
    kind, which are padded less: photos need 50 tokens, descriptions 150."""
    length: int = 1_000_000
    """Examples in the mixture; rows come again and again."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name, weight in self.weights.items():
            if not weight >= 0:
                flag = name.replace("_", "-")
                raise DatasetError(f"--mixture.{flag} must be zero or more, got {weight}")
        if not sum(self.weights.values()) > 0:
            raise DatasetError("--mixture needs at least one kind above zero")
        for name in ("reason", "short", "implicit", "unmeasured", "note"):
            if not 0 <= getattr(self, name) <= 1:
                raise DatasetError(f"--mixture.{name} must be in [0, 1], got {getattr(self, name)}")
        if self.short + self.implicit > 1:
            raise DatasetError("--mixture.short and --mixture.implicit add up to more than 1")
        if self.turns_before < 0:
            raise DatasetError(
                f"--mixture.turns-before must be zero or more, got {self.turns_before}"
            )
        for name in ("talk_turns", "length", "run"):
            if getattr(self, name) < 1:
                flag = name.replace("_", "-")
                raise DatasetError(
                    f"--mixture.{flag} must be at least 1, got {getattr(self, name)}"
                )

    @property
    def weights(self) -> dict[str, float]:
        """Kind of data -> weight."""
        return {kind: getattr(self, kind) for kind in _REMEDIES}


Orders = Mapping[str, StreamedRows]
"""Kind -> its rows, where they must be fetched and therefore come in an order of their own."""


class Schedule:
    """Which kind and which row is example number i; no data, only numbers."""

    def __init__(
        self,
        weights: Mapping[str, float],
        lengths: Mapping[str, int],
        seed: int,
        run: int = 1,
        orders: Orders = MappingProxyType({}),
    ) -> None:
        """Kinds of weight 0 are left out.

        Args:
            weights: Kind -> weight.
            lengths: Kind -> rows.
            run: Examples of one kind that follow each other.
            orders: Kinds whose rows do not come in any order at all.
        """
        self.run = run
        self.orders = dict(orders)
        self.kinds = tuple(kind for kind, weight in weights.items() if weight > 0)
        self.lengths = {kind: lengths[kind] for kind in self.kinds}
        self.seed = seed
        self.shares = exact_shares([weights[kind] for kind in self.kinds])
        self._block = lru_cache(maxsize=4)(self._arranged)
        self._order = lru_cache(maxsize=2 * len(self.kinds))(self._permutation)

    def __call__(self, index: int) -> tuple[str, int]:
        """Kind and row of example `index`."""
        kind, epoch, position = self.place(index)
        return kind, int(self._order(kind, epoch)[position])

    def place(self, index: int) -> tuple[str, int, int]:
        """Kind of example `index`, how often all rows of it came before, and how many since."""
        turn, within = divmod(index, self.run)
        block, place = divmod(turn, BLOCK)
        number, rank = self._block(block)[place].tolist()
        kind = self.kinds[number]
        seen = (block * self.shares[number] + rank) * self.run + within
        epoch, position = divmod(seen, self.lengths[kind])
        return kind, epoch, position

    def order(self, kind: str, epoch: int) -> Tensor:
        """The rows of a kind in the order of one epoch; the newest ones are remembered."""
        return self._order(kind, epoch)

    def _arranged(self, block: int) -> Tensor:
        """(BLOCK, 2): number of the kind, and how many runs of it came before in this block."""
        drawn = [(kind, rank) for kind, n in enumerate(self.shares) for rank in range(n)]
        order = torch.randperm(BLOCK, generator=seeded(self.seed, "block", block))
        kinds = torch.tensor(drawn)[order][:, 0]
        ranks = torch.empty_like(kinds)
        for kind, count in enumerate(self.shares):
            ranks[kinds == kind] = torch.arange(count)
        return torch.stack([kinds, ranks], dim=1)

    def _permutation(self, kind: str, epoch: int) -> Tensor:
        generator = seeded(self.seed, "epoch", kind, epoch)
        if kind in self.orders:
            return self.orders[kind].order(generator)
        return torch.randperm(self.lengths[kind], generator=generator)

    def __reduce__(
        self,
    ) -> tuple[type["Schedule"], tuple[dict[str, float], dict[str, int], int, int, Orders]]:
        # What is cached is made again where it is needed; shares stand for the weights.
        weights = dict(zip(self.kinds, map(float, self.shares), strict=True))
        return Schedule, (weights, self.lengths, self.seed, self.run, self.orders)


class Mixture(torch.utils.data.Dataset[Example]):
    """Examples of several kinds by number; use it with a sampler that counts upwards."""

    def __init__(
        self,
        settings: MixtureSettings,
        sources: Mapping[str, ExampleSource],
        orders: Orders = MappingProxyType({}),
    ) -> None:
        """Check that every kind with a weight has data.

        Args:
            sources: Kind -> data; kinds of weight 0 are not used.
            orders: Kinds whose rows must be fetched.

        Raises:
            DatasetError: A kind with a weight has no data.
        """
        for kind, weight in settings.weights.items():
            if weight > 0 and not (kind in sources and len(sources[kind])):
                raise DatasetError(
                    f"the mixture gives the weight {weight} to {kind} examples, but there are "
                    f"none: {_REMEDIES[kind]}, or set --mixture.{kind.replace('_', '-')} 0"
                )
        self.settings = settings
        self.sources = dict(sources)
        lengths = {kind: len(source) for kind, source in sources.items()}
        self.orders = dict(orders)
        weights = self._parted()
        self.schedule = Schedule(weights, lengths, settings.seed, settings.run, orders)
        streaming = [kind for kind in self.schedule.kinds if kind in orders]
        for table in {orders[kind].table for kind in streaming}:
            table.check_memory(len(streaming))

    def _parted(self) -> dict[str, float]:
        """The weights, those of kinds with long and short answers or texts parted by length."""
        weights = self.settings.weights
        shares = dict.fromkeys(_SHORT, self.settings.short)
        parts = _SHORT | {"situation": _REASONED}
        if _REASONED in self.sources:
            known = len(self.sources[_REASONED]) / len(self.sources["situation"])
            shares["situation"] = self.settings.reason * known
        for kind, part in parts.items():
            if part in self.sources and len(self.sources[part]):
                weights[part] = weights[kind] * shares[kind]
                weights[kind] -= weights[part]
        return weights

    def __len__(self) -> int:
        return self.settings.length

    def __getitem__(self, index: int) -> Example:
        """Example number `index`.

        Raises:
            IndexError: The mixture has not so many examples.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"example {index} of a mixture of {len(self)}")
        kind, row = self.schedule(index)
        if kind in self.orders:
            _, epoch, position = self.schedule.place(index)
            self.orders[kind].look_ahead(epoch, position, partial(self.schedule.order, kind))
        generator = seeded(self.settings.seed, "example", index)
        return self.sources[kind].example(row, generator)


_REMEDIES = {
    "image": "give a data set with faces",
    "text": "build the data with a describer",
    "composed": "give a morphable model",
    "situation": "give situations and a morphable model",
    "talk": "build the data with a describer that makes conversations",
    "replay": "give instruction data or replayed answers",
    "image_points": "give a data set with faces",
    "text_points": "build the data with a describer",
}
"""Kind of data -> what to do when there is none."""


def face_mixture(
    settings: MixtureSettings,
    *,
    faces: FaceTable | None = None,
    rows: Sequence[int] | None = None,
    model: MorphableModel | None = None,
    situations: Sequence[Situation] = (),
    instructions: Sequence[Sequence[Instruction]] = (),
    augment: Augment | None = None,
) -> Mixture:
    """The mixture of the paper (section 4.1), and what goes beyond it, from what there is.

    Args:
        faces: Photos with their words.
        rows: Faces to use, all of them if None: what is held back for validation is left out here.
        model: Draws and renders composed people, and turns blendshapes into expressions.
        instructions: Files of instruction data; their records count alike.
        augment: Applied to photos that are shown.

    Raises:
        DatasetError: A kind with a weight has no data.
    """
    sources: dict[str, ExampleSource] = {}
    rows_of: dict[str, list[int]] = {}
    if settings.note > 0 and model is None:
        raise DatasetError(
            "--mixture.note above zero needs a morphable model to measure faces with"
        )
    if faces is not None:
        chosen = list(range(len(faces))) if rows is None else list(rows)
        described = _chosen_with(faces, "descriptions", chosen)
        talked = _chosen_with(faces, "conversations", chosen)
        named = _chosen_with(faces, "short", chosen)
        rows_of = dict.fromkeys(("image", "image_points"), chosen)
        rows_of |= {"talk": talked, _SHORT["text"]: named}
        rows_of |= dict.fromkeys(("text", "text_points"), described)
        image_notes = _notes(model, 0.6 * settings.note)
        sources["image"] = ImageToFace(faces, chosen, settings.turns_before, augment, image_notes)
        implicit = min(settings.implicit / max(1 - settings.short, 1e-9), 1.0)
        sources["text"] = TextToFace(faces, described, 0.0, implicit)
        sources[_SHORT["text"]] = TextToFace(faces, named, 1.0)
        sources["talk"] = Talk(
            faces,
            talked,
            augment,
            _notes(model, settings.note),
            settings.talk_turns,
            settings.unmeasured,
        )
        sources["image_points"] = ImageToLandmarks(faces, chosen, augment)
        sources["text_points"] = TextToLandmarks(faces, described)
    if model is not None:
        sources["composed"] = ComposedToFace(model, 0.0, seed=settings.seed)
        sources[_SHORT["composed"]] = ComposedToFace(model, 1.0, seed=settings.seed + 1)
        sources["situation"] = SituationToFace(model, situations, 0.0)
        told = [situation for situation in situations if situation.face]
        if told and settings.reason > 0:
            sources[_REASONED] = SituationToFace(model, told, 1.0)
    sources["replay"] = Instructions(_Concatenated(instructions))
    orders = {}
    if faces is not None and faces.streams:
        orders = {kind: StreamedRows(faces, r) for kind, r in rows_of.items() if r}
    return Mixture(settings, sources, orders)


def _notes(model: MorphableModel | None, share: float) -> Notes | None:
    return Notes(model, share) if model is not None and share > 0 else None


class _Concatenated(Sequence[Instruction]):
    """Several files of instructions as one."""

    def __init__(self, parts: Sequence[Sequence[Instruction]]) -> None:
        self._parts = tuple(parts)
        self._ends = list(accumulate(map(len, parts)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index):
        for part, end in zip(self._parts, self._ends, strict=True):
            if index < end:
                return part[index - end + len(part)]
        raise IndexError(f"instruction {index} of {len(self)}")


def _chosen_with(faces: FaceTable, text: str, chosen: Sequence[int]) -> list[int]:
    have = set(faces.with_text(text).tolist())
    return [row for row in chosen if row in have]


def exact_shares(weights: Sequence[float]) -> list[int]:
    """Whole numbers that add up to a block and are nearest to the weights; none of them is 0."""
    total = sum(weights)
    ideal = [weight / total * BLOCK for weight in weights]
    shares = [max(1, int(share)) for share in ideal]
    for _ in range(abs(BLOCK - sum(shares))):
        error = [wanted - share for wanted, share in zip(ideal, shares, strict=True)]
        if sum(shares) < BLOCK:
            shares[error.index(max(error))] += 1
        else:
            spare = [
                e if share > 1 else float("inf") for e, share in zip(error, shares, strict=True)
            ]
            shares[spare.index(min(spare))] -= 1
    return shares


def seeded(*parts: int | str) -> torch.Generator:
    """A generator for one purpose: seeds of neighbours are as different as any."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)
