"""`facegpt evaluate`: the tables of the paper, with any method and any data."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

if TYPE_CHECKING:
    from facegpt.evaluation.benchmarks.prediction import Step
    from facegpt.evaluation.benchmarks.runner import RunSettings, TableOutcome

evaluate_app = tyro.extras.SubcommandApp()

Output = Annotated[Path, tyro.conf.arg(aliases=["-o"])]

TABLES = {
    "table1": "Speculative faces: implicit sentences against the fitted face of the photo.",
    "table2": "Described faces: explicit descriptions against the fitted face of the photo.",
    "table3": "Photos: photometric and landmark errors, identity.",
    "table4": "Instruction following: a judge's report, and answers held against the face.",
    "table5": "With and without face conversations.",
    "table7": "With and without a language model.",
    "table8": "Supervised and self-supervised.",
}


@dataclass(frozen=True)
class Measured:
    """What is measured, and how."""

    output: Output
    """Folder of the results. What is there already is not computed again."""
    method: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A method; may be given several times: nano, nano+refine, fit, mean-face, vision=FOLDER,
    regression=FOLDER, llava-key=FOLDER, average-fit=FACES, NAME=FOLDER for weights of your own
    (NAME+refine=FOLDER refines), NAME=KIND:FOLDER for a baseline by another name,
    external:PROGRAM=FOLDER for what deca, deep3d, focus, describe3d or mica wrote. Without any:
    nano and mean-face."""
    data: Path | None = None
    """Folder with index.csv, landmarks.npz and photos, or with several such folders, and
    descriptions/SPLIT.jsonl (docs/evaluation.md)."""
    split: str = "val"
    """Of the data."""
    every: int = 1
    """Only every n-th photo or description."""
    limit: int = 0
    """At most so many of each data set; 0 is all."""
    thin: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """NAME=N for a slow method: it is asked about every N-th of these photos and texts alone, and
    left out of the figures. Orders compare the items that both methods have."""
    sentences: Literal["best", "all"] = "best"
    """Of the implicit sentences of a photo: the best one, as in the paper, or all."""
    judge: Path | None = None
    """report.json of `facegpt benchmark judge`, for tables 4 and 5."""
    study: Path | None = None
    """tally.json of `facegpt study tally`, for table 1."""
    prompts: Path | None = None
    """JSONL of held-out prompts with prompt, wants_face and photo, for tables 4 and 5."""
    landmark_vertices: Path | None = None
    """The 68 landmark vertices of an external program's mesh (docs/external_methods.md)."""
    seed: int = 0
    """Of the bootstrap; nothing else is random."""
    resamples: int = 10_000
    """Draws of the bootstrap."""
    pictures: int = 12
    """Rows of the figures; 0 draws none."""
    morphable_model: str = "default"
    """Of methods that bring none, and of the pseudo ground truth."""
    device: str = "cpu"
    """Where models compute: cpu, cuda ..."""


Flat = Annotated[Measured, tyro.conf.arg(name="")]


def _command(name: str) -> Callable[..., int]:
    def table(measured: Flat) -> int:
        return _run(measured, [name])

    return table


for _name, _help in TABLES.items():
    evaluate_app.command(name=_name, help=_help)(_command(_name))


@evaluate_app.command(name="all")
def every(measured: Flat) -> int:
    """Every table, one after the other, and OUTPUT/results.md. A stopped run goes on.

    Methods that read no texts are passed over in tables of texts.
    """
    code = _run(measured, list(TABLES))
    return max(code, _report(measured.output, measured.output / "results.md"))


@evaluate_app.command
def report(
    results: tyro.conf.Positional[Path],
    output: Output = Path("results.md"),
    remarks: Path | None = None,
) -> int:
    """Write all tables of a folder of results with their commands and orders as one page.

    Args:
        results: Folder that `facegpt evaluate` wrote.
        output: The page, in Markdown.
        remarks: Markdown with your own words on each table below headings such as `## table1`.
    """
    return _report(results, output, remarks)


@evaluate_app.command
def crops(data: Path, output: Output, split: str = "val", every: int = 1, limit: int = 0) -> int:
    """Write the aligned 224 crops that methods are shown, for programs that are run elsewhere.

    OUTPUT/<photo>.png, and OUTPUT/detections/<photo>.txt with the five points that Deep3D asks for.

    Args:
        data: As in the tables.
        output: Folder of the crops.
        split: Of the data.
        every: Only every n-th photo.
        limit: At most so many of each data set; 0 is all.
    """
    from facegpt.evaluation.benchmarks.crops import write_crops
    from facegpt.evaluation.benchmarks.photo_data import Selection, read_photo_sets

    sets = read_photo_sets(data, Selection(split, every, limit))
    count, problems = write_crops(output, [item for photos in sets for item in photos.items])
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{output}: {count} crops")
    return 1 if problems else 0


def _run(measured: Measured, names: list[str]) -> int:
    from facegpt.evaluation.benchmarks.runner import Runner
    from facegpt.evaluation.errors import RegistrationUnavailableError

    with _bar() as step:
        runner = Runner(_settings(measured), step)
        wanted = [name for name in names if len(names) == 1 or runner.can_make(name)]
        try:
            outcomes = {name: runner.table(name) for name in wanted}
        except RegistrationUnavailableError as error:
            raise ValueError(str(error)) from error
    for name, outcome in outcomes.items():
        _say(name, outcome, measured.output)
    return 1 if any(outcome.failures for outcome in outcomes.values()) else 0


def _settings(measured: Measured) -> "RunSettings":
    from facegpt.baselines.external import read_landmark_vertices
    from facegpt.evaluation.benchmarks.photo_data import Selection
    from facegpt.evaluation.benchmarks.runner import RunSettings
    from facegpt.evaluation.methods import parse_methods

    vertices = measured.landmark_vertices
    return RunSettings(
        output=measured.output,
        methods=parse_methods(measured.method or ("nano", "mean-face")),
        data=measured.data,
        selection=Selection(measured.split, measured.every, measured.limit),
        thin=_thin(measured.thin),
        sentences=measured.sentences,
        seed=measured.seed,
        resamples=measured.resamples,
        judge=measured.judge,
        study=measured.study,
        prompts=measured.prompts,
        landmark_vertices=read_landmark_vertices(vertices) if vertices else None,
        pictures=measured.pictures,
        device=measured.device,
        morphable_model=measured.morphable_model,
    )


def _thin(given: tuple[str, ...]) -> dict[str, int]:
    found = {}
    for text in given:
        name, _, number = text.rpartition("=")
        if not name or not number.isdecimal():
            raise ValueError(f"--thin {text}: wants NAME=N, such as llava-key=8")
        found[name] = int(number)
    return found


def _say(name: str, outcome: "TableOutcome", output: Path) -> None:
    table = output / "tables" / f"{name}.md"
    print(table.read_text(encoding="utf-8"))
    for path in outcome.files:
        print(f"wrote {path}")
    if outcome.passed_over:
        print(f"{name}: passed over {', '.join(outcome.passed_over)}", file=sys.stderr)
    for label, reason in outcome.failures.items():
        print(f"{name}: {label} failed: {reason}", file=sys.stderr)


def _report(results: Path, output: Path, remarks: Path | None = None) -> int:
    from facegpt.evaluation.benchmarks.report import write_report

    print(f"wrote {write_report(results, output, remarks)}")
    return 0


@contextmanager
def _bar() -> "Iterator[Step]":
    from tqdm import tqdm

    with tqdm(file=sys.stderr, disable=None, leave=False, unit="item") as bar:

        def show(what: str, done: int, total: int) -> None:
            bar.set_description_str(what, refresh=False)
            bar.total = total
            bar.n = done
            bar.refresh()

        yield show
