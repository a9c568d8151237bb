"""From a folder of photos to a data set: perception, theta, words, Parquet shards.

The photos of a shard are fixed beforehand and nothing in a row depends on other shards, so a killed
build goes on where it stopped and ends in the same files as one that was never interrupted. A photo
that cannot be used is reported in `problems.jsonl` and passed over. Knows no command line.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from facegpt.data.combined import requests_in_flight
from facegpt.data.describe import Describer
from facegpt.data.photo_rows import PHOTOS_AT_ONCE, Engine, PhotoReader, Piece, SerialEngine
from facegpt.data.schema import DatasetError, import_datasets
from facegpt.data.shards import (
    MANIFEST,
    Manifest,
    append_problems,
    intact_prefix,
    read_manifest,
    read_problems,
    write_manifest,
    write_shard,
)
from facegpt.data.sources import PhotoTask, fingerprint, plan_photos
from facegpt.data.theta import ThetaEstimator
from facegpt.data.tokens import FREE, Prices, Tokens
from facegpt.data.words_ahead import Draft, described_ahead, shards_ahead
from facegpt.perception.detection import DlibDetector
from facegpt.perception.landmarks import LandmarkDetector


@dataclass(frozen=True)
class BuildSettings:
    """What a data set is built from, and how."""

    images: Path
    """Folder of photos; the folders below it are searched, too."""
    output: Path
    """Folder of the data set. An unfinished build with the same settings goes on."""
    index: Path | None = None
    """CSV with a column `name` that chooses photos; its other columns become labels."""
    split: str | None = None
    """Only photos whose column `split` in the index says this."""
    landmarks: Path | None = None
    """npz with `names` and `landmarks` (68 points in pixels); the detector is then not asked."""
    faces: Literal["largest", "every"] = "largest"
    """Which faces of a photo to take."""
    shard_photos: int = 256
    """Photos per Parquet file, and per step that a killed build may lose."""
    limit: int | None = None
    """At most this many photos, the first by name."""
    seed: int = 0
    """Of what a describer decides at random; whoever makes the describer hands it on."""

    def __post_init__(self) -> None:
        if self.shard_photos < 1:
            raise DatasetError(f"--shard-photos must be at least 1, got {self.shard_photos}")
        if self.limit is not None and self.limit < 1:
            raise DatasetError(f"--limit must be at least 1, got {self.limit}")


@dataclass(frozen=True)
class BuildProgress:
    """How far a build is; said after every photo."""

    photos_done: int
    photos: int
    faces: int
    problems: int


@dataclass(frozen=True)
class BuildReport:
    """What a build came to."""

    output: Path
    photos: int
    faces: int
    problems: int
    undescribed: int
    """Faces of this run that stayed without words although a describer was asked."""
    photos_kept: int
    """Photos that an earlier run had finished."""
    tokens: Tokens
    """Behind all the words of the data set, earlier runs included."""
    cost: float
    """Of those tokens, at the prices that were given."""


def build_dataset(
    settings: BuildSettings,
    *,
    describer: Describer | None = None,
    detector: LandmarkDetector | None = None,
    estimator: ThetaEstimator | None = None,
    made_with: Mapping[str, str] | None = None,
    progress: Callable[[BuildProgress], None] | None = None,
    engine: Engine | None = None,
    prices: Prices = FREE,
) -> BuildReport:
    """Build a data set, or go on with it.

    Args:
        describer: Gives words to faces; without one there are none.
        detector: Finds faces where no landmarks are known; dlib's if None.
        estimator: Gives theta to faces; without one there is none.
        made_with: What else shapes the rows, by name: settings of the describer or the estimator.
            Recorded in the manifest; a build with other values does not go on.
        progress: Hears of every photo how far the build is.
        engine: Who reads the photos; this process if None. Every engine makes the same rows.
        prices: Of the model that a describer asks, for the total in the manifest.

    Raises:
        DatasetError: The settings contradict each other or the build in the output folder, or a
            package is missing.
    """
    import_datasets()
    tasks = plan_photos(
        settings.images,
        index=settings.index,
        split=settings.split,
        landmarks=settings.landmarks,
        limit=settings.limit,
    )
    record = _record(settings, tasks, describer, estimator) | {"made_with": dict(made_with or {})}
    manifest = replace(_begin(settings, Manifest(record, len(tasks))), prices=prices)
    kept = manifest.photos_done
    waits = requests_in_flight(describer) > 0
    # Whoever waits for a server is asked here, for all engines' photos together.
    reader = PhotoReader(
        settings.faces, detector or DlibDetector(), estimator, None if waits else describer
    )
    shards = _in_parts(tasks[kept:], settings.shard_photos)
    batches = [batch for shard in shards for batch in _in_parts(shard, PHOTOS_AT_ONCE)]
    reached = BuildProgress(kept, len(tasks), manifest.rows, len(read_problems(settings.output)))
    # Nothing else holds what reads the photos: closing the last of the chain ends it, too.
    drafts = _drafts(
        _told((engine or SerialEngine()).pieces(reader, batches), reached, progress),
        [len(shard) for shard in shards],
    )
    if describer is not None and waits:
        ahead = shards_ahead(describer, settings.shard_photos)
        drafts = described_ahead(drafts, describer, ahead)
    undescribed = 0
    with closing(drafts):
        for draft in drafts:
            manifest = _store(settings.output, manifest, draft)
            undescribed += draft.undescribed
    problem_count = len(read_problems(settings.output))
    return BuildReport(
        settings.output,
        len(tasks),
        manifest.rows,
        problem_count,
        undescribed,
        kept,
        manifest.tokens,
        prices.cost(manifest.tokens),
    )


def _in_parts(tasks: Sequence[PhotoTask], size: int) -> list[Sequence[PhotoTask]]:
    return [tasks[first : first + size] for first in range(0, len(tasks), size)]


def _told(
    pieces: Iterator[Piece],
    reached: BuildProgress,
    progress: Callable[[BuildProgress], None] | None,
) -> Iterator[Piece]:
    """The pieces, with a word about every photo of theirs."""
    for piece in pieces:
        for faces, problems in piece.photos:
            reached = BuildProgress(
                reached.photos_done + 1,
                reached.photos,
                reached.faces + faces,
                reached.problems + problems,
            )
            if progress is not None:
                progress(reached)
        yield piece


def _drafts(pieces: Iterator[Piece], sizes: Sequence[int]) -> Generator[Draft, None, None]:
    """The pieces of each shard together.

    Args:
        sizes: Photos of each shard.
    """
    for photos in sizes:
        draft = Draft(0, [], [])
        while draft.photos < photos:
            piece = next(pieces)
            draft = Draft(
                draft.photos + len(piece.photos),
                [*draft.rows, *piece.rows],
                [*draft.problems, *piece.problems],
                draft.undescribed + piece.undescribed,
            )
        yield draft


def _begin(settings: BuildSettings, fresh: Manifest) -> Manifest:
    """The manifest to go on with; a folder that holds something else is refused."""
    output = settings.output
    if not (output / MANIFEST).exists():
        if output.exists() and (not output.is_dir() or any(_visible(output))):
            raise DatasetError(
                f"{output} exists and holds no data set; choose an empty folder: --output DIR"
            )
        output.mkdir(parents=True, exist_ok=True)
        write_manifest(output, fresh)
        return fresh
    before = read_manifest(output)
    for name, value in fresh.settings.items():
        if before.settings.get(name) != value:
            raise DatasetError(
                f"the data in {output} was built with another setting: {name} was "
                f"{before.settings.get(name)!r} and is now {value!r}; build into another folder: "
                f"--output DIR"
            )
    manifest = intact_prefix(output, before)
    append_problems(output, _problems_end(manifest), ())
    return manifest


def _visible(folder: Path) -> list[Path]:
    """What lies in a folder, without the unfinished files of a killed build."""
    return [path for path in folder.iterdir() if not path.name.startswith(".")]


def _problems_end(manifest: Manifest) -> int:
    return manifest.shards[-1].problems_end if manifest.shards else 0


def _store(output: Path, manifest: Manifest, draft: Draft) -> Manifest:
    end = append_problems(output, _problems_end(manifest), draft.problems)
    shard = write_shard(
        output,
        len(manifest.shards),
        draft.rows,
        photos=draft.photos,
        problems_end=end,
        tokens=draft.tokens,
    )
    grown = manifest.with_shard(shard)
    write_manifest(output, grown)
    return grown


def _record(
    settings: BuildSettings,
    tasks: Sequence[PhotoTask],
    describer: Describer | None,
    estimator: ThetaEstimator | None,
) -> dict[str, Any]:
    """What shapes the rows, as JSON; where the photos lie does not."""
    places = ("images", "output", "index", "landmarks")
    record = {name: value for name, value in asdict(settings).items() if name not in places}
    record["describer"] = None if describer is None else describer.name
    record["theta_method"] = None if estimator is None else estimator.name
    record["photos_sha256"] = fingerprint(tasks)
    return record
