"""`facegpt data`: build a data set from a folder of photos, and look into one."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

if TYPE_CHECKING:
    from contextlib import ExitStack

    from facegpt.data.build import BuildProgress, BuildReport
    from facegpt.data.chat_server import Traffic
    from facegpt.data.describe import Describer
    from facegpt.data.openai_describer import OpenAIDescriber
    from facegpt.data.photo_rows import Engine
    from facegpt.morphable.model import MorphableModel

data_app = tyro.extras.SubcommandApp()


@data_app.command
def build(
    images: Path,
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])],
    describer: tuple[str, ...] = ("measured",),
    reconstructor: str = "fit",
    faces: Literal["largest", "every"] = "largest",
    index: Path | None = None,
    split: str | None = None,
    landmarks: Path | None = None,
    shard_photos: int = 256,
    limit: int | None = None,
    seed: int = 0,
    engine: Literal["serial", "ray"] = "serial",
    ray_address: str | None = None,
    ray_workers: int = 0,
    server: str = "http://127.0.0.1:8000/v1",
    answers: Path = Path("answers.jsonl"),
    requests_in_flight: int = 8,
    prompt_price: float = 0.0,
    completion_price: float = 0.0,
) -> int:
    """Build a data set: faces found and aligned, theta, words, Parquet shards.

    A build that was stopped goes on when the command is repeated. Photos that cannot be used are
    reported in OUTPUT/problems.jsonl and passed over.

    Args:
        images: Folder of photos; the folders below it are searched, too.
        output: Folder of the data set.
        describer: Who gives words to the faces, one or more: measured (from theta; measured=LABEL
            takes she or he from a label such as index.gender), file=JSONL (written descriptions;
            several as file=A,B), openai=MODEL (a vision-language model behind --server), or none.
        reconstructor: Where theta comes from: fit, vision=FOLDER (a tower of facegpt train vision)
            or none.
        faces: Which faces of a photo to take.
        index: CSV with a column `name` that chooses photos; its other columns become labels.
        split: Only photos whose column `split` in the index says this.
        landmarks: npz with `names` and `landmarks` (68 points in pixels); no detector is asked.
        shard_photos: Photos per Parquet file, and per step that a stopped build may lose.
        limit: At most this many photos, the first by name.
        seed: Of what a describer decides at random.
        engine: Who reads the photos: serial (this process) or ray (the workers of a Ray cluster);
            both write the same files.
        ray_address: host:port of a Ray cluster that this machine belongs to; without it one is
            started here.
        ray_workers: Processes that read photos, for --engine ray; 0: one for every processor.
        server: Where an OpenAI-compatible server listens, for openai=MODEL.
        answers: JSONL that keeps the answers of the server: what is there is not asked again.
        requests_in_flight: Requests to the server at the same time, 1 to 1000; a vLLM server wants
            hundreds.
        prompt_price: Of a million tokens that the server reads, for the sum at the end.
        completion_price: Of a million tokens that it writes.
    """
    from contextlib import ExitStack

    from tqdm import tqdm

    from facegpt.data.build import BuildSettings, build_dataset
    from facegpt.data.theta import find_estimator
    from facegpt.data.tokens import Prices
    from facegpt.morphable.registry import load_morphable_model

    settings = BuildSettings(
        images, output, index, split, landmarks, faces, shard_photos, limit, seed
    )
    prices = Prices(prompt_price, completion_price)
    reads = _engine(engine, ray_address, ray_workers)
    model = load_morphable_model()
    asked = _Asked(server, answers, requests_in_flight)
    with ExitStack() as stack:
        words = _describer(describer, model, seed, asked, stack)
        estimator = find_estimator(reconstructor, model)
        bar = stack.enter_context(tqdm(unit="photo", file=sys.stderr, disable=None))
        report = build_dataset(
            settings,
            describer=words,
            estimator=estimator,
            progress=_shown_in(bar),
            engine=reads,
            prices=prices,
        )
    print(f"{report.output}: {report.faces} faces of {report.photos} photos")
    if report.tokens.answers:
        print("\n".join(_bill(report, asked)))
    if report.undescribed:
        print(f"{report.undescribed} faces stayed without words", file=sys.stderr)
    if report.problems:
        print(f"{report.problems} problems, in {output / 'problems.jsonl'}", file=sys.stderr)
    return 0 if report.faces else 2


@data_app.command
def inspect(
    folder: tyro.conf.Positional[Path],
    samples: int = 8,
    seed: int = 0,
    sheet: Path | None = None,
) -> int:
    """Say what is in a data set, show some of its faces in words and, if asked, as a picture.

    Args:
        folder: What `facegpt data build` wrote, finished or not.
        samples: Faces to show, chosen at random.
        seed: Of that choice.
        sheet: PNG to write: crops with points and masks.
    """
    from facegpt.data.inspection import inspect_dataset

    found = inspect_dataset(folder, samples=samples, seed=seed, sheet=sheet)
    print(found.text)
    if found.sheet:
        print(f"\npicture: {found.sheet}")
    return 0


def _shown_in(bar: object) -> Callable[["BuildProgress"], None]:
    from tqdm import tqdm

    assert isinstance(bar, tqdm)

    def show(reached: "BuildProgress") -> None:
        bar.total = reached.photos
        bar.set_postfix(faces=reached.faces, problems=reached.problems, refresh=False)
        bar.update(reached.photos_done - bar.n)

    return show


def _engine(name: str, address: str | None, workers: int) -> "Engine | None":
    """Who reads photos; None: this process."""
    if name == "ray":
        from facegpt.data.ray_engine import RayEngine, RaySettings

        return RayEngine(RaySettings(address, workers))
    if address is not None or workers:
        raise ValueError("--ray-address and --ray-workers go with --engine ray")
    return None


@dataclass
class _Asked:
    """Which server is asked for words, and who asked it."""

    server: str
    answers: Path
    requests_in_flight: int
    describers: "list[OpenAIDescriber]" = field(default_factory=list)


def _bill(report: "BuildReport", asked: _Asked) -> list[str]:
    """What the words took: those of the whole data set, and what was sent in this run."""
    tokens = report.tokens
    uncounted = f", {tokens.uncounted} of them not counted by the server"
    words = (
        f"words of {tokens.answers} answers{uncounted if tokens.uncounted else ''}: "
        f"{tokens.prompt} tokens read, {tokens.completion} written, cost {report.cost:.4f}"
    )
    return [words, *(_sent(describer.traffic) for describer in asked.describers)]


def _sent(traffic: "Traffic") -> str:
    return (
        f"this run: {traffic.requests} requests, {traffic.retried} of them repeated, "
        f"{traffic.unanswered} questions without an answer, {traffic.tokens.prompt} tokens read, "
        f"{traffic.tokens.completion} written"
    )


def _describer(
    names: Sequence[str], model: "MorphableModel", seed: int, asked: _Asked, stack: "ExitStack"
) -> "Describer | None":
    """One describer out of the words on the command line."""
    from facegpt.data.combined import CombinedDescriber

    if not names or tuple(names) == ("none",):
        return None
    describers = [_one_describer(name, model, seed, asked) for name in names]
    for describer in asked.describers:
        stack.callback(describer.close)
    return describers[0] if len(describers) == 1 else CombinedDescriber(describers)


def _one_describer(name: str, model: "MorphableModel", seed: int, asked: _Asked) -> "Describer":
    kind, _, argument = name.partition("=")
    if kind == "measured":
        from facegpt.data.wording import MeasuredDescriber

        return MeasuredDescriber(model, seed=seed, pronoun_label=argument)
    if kind == "file" and argument:
        from facegpt.data.describe import FileDescriber

        return FileDescriber([Path(path) for path in argument.split(",")])
    if kind == "openai" and argument:
        return _openai_describer(argument, seed, asked)
    raise ValueError(
        "--describer takes measured, measured=LABEL, file=JSONL, openai=MODEL or none, got "
        f"{name!r}"
    )


def _openai_describer(model: str, seed: int, asked: _Asked) -> "Describer":
    import torch

    from facegpt.data.openai_describer import (
        DescriberUnavailableError,
        OpenAIDescriber,
        OpenAISettings,
    )

    settings = OpenAISettings(model, base_url=asked.server, concurrency=asked.requests_in_flight)
    generator = torch.Generator().manual_seed(seed)
    try:
        describer = OpenAIDescriber(settings, cache=asked.answers, generator=generator)
    except DescriberUnavailableError as error:
        raise ValueError(str(error)) from error
    asked.describers.append(describer)
    return describer
