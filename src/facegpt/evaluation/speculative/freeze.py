"""Step five: the finished benchmark, a folder that is made once and never changed.

| file | what |
| --- | --- |
| `benchmark.jsonl` | one picture a line, see below |
| `faces/*.json` | the `facegpt.face/1` records that `face` names |
| `manifest.json` | how it was made, counts, versions, and the checksum of every file |

A line holds `image`, `description`, `implicit` (list), `best` and labels such as `expression`, as
the written descriptions that `facegpt data build` takes, and beside them `face` and `image_sha256`.
`best` is the place in `implicit` of the sentence that the model chose, 0 where it chose none of
those that were kept. Pictures are not copied: their licence is not ours to give.
"""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facegpt.evaluation.json_lines import (
    JsonFileError,
    JsonLine,
    read_json_lines,
    read_json_object,
    sha256_of,
    write_json_lines,
    write_json_object,
)
from facegpt.evaluation.speculative.review import Decision, read_decisions, review_rows, row_id
from facegpt.evaluation.speculative.selection import Selected, objection_counts
from facegpt.evaluation.speculative.truth import FittedFace
from facegpt.evaluation.speculative.workspace import (
    COMMAND,
    DescribedFace,
    Problem,
    SpeculativeError,
    StepFile,
    Workspace,
    check_made_from,
    read_step,
    versions,
)
from facegpt.reconstruction import read_record
from facegpt.record_checks import FaceRecordError

FORMAT = "facegpt.sfg/1"
BENCHMARK, MANIFEST, FACES = "benchmark.jsonl", "manifest.json", "faces"


class FrozenError(ValueError):
    """A finished benchmark is damaged, or was changed; the message names the file."""


@dataclass(frozen=True)
class SpeculativeCase:
    """One picture of a finished benchmark."""

    image: str
    image_sha256: str
    description: str
    implicit: tuple[str, ...]
    best: int
    """Place in `implicit` of the one sentence to use where only one is used, as in the paper."""
    face: Path
    """The `facegpt.face/1` record of the pseudo ground truth."""
    expression: str
    """A word such as happiness; empty where nobody said it."""


@dataclass(frozen=True)
class FrozenReport:
    """What became of a freeze."""

    folder: Path
    pictures: int
    sentences: int
    dropped: tuple[Problem, ...]
    """Pictures with kept sentences but without pseudo ground truth."""


@dataclass(frozen=True)
class _Steps:
    """Everything that was made before."""

    candidates: StepFile
    selection: StepFile
    truth: StepFile
    choices: Path
    decisions: Mapping[str, Decision]


def freeze(work: Workspace, folder: Path, choices: Path | None = None) -> FrozenReport:
    """Make the finished benchmark out of everything before.

    Args:
        folder: Where it shall be; there must be nothing yet.
        choices: The table of the review; that of the working folder by default.

    Raises:
        SpeculativeError: There is something in the way, a step is missing or older than the one
            before it, a sentence is undecided, none was kept, or a record is damaged.
    """
    if folder.exists():
        raise SpeculativeError(f"{folder} is there already; a finished benchmark is never changed")
    steps = _read_steps(work, choices or work.sheet)
    cases, dropped = _cases(steps, work)
    if not cases:
        raise SpeculativeError("no sentence with a fitted face was kept; there is no benchmark")
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        write_json_lines(unfinished / BENCHMARK, [case for case, _ in cases])
        (unfinished / FACES).mkdir()
        for case, record in cases:
            shutil.copyfile(record, unfinished / case["face"])
        manifest = _manifest(steps, [case for case, _ in cases], dropped, unfinished)
        write_json_object(unfinished / MANIFEST, manifest)
        unfinished.chmod(0o755)
        _move(unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    sentences = sum(len(case["implicit"]) for case, _ in cases)
    return FrozenReport(folder, len(cases), sentences, tuple(dropped))


def read_frozen(folder: Path) -> list[SpeculativeCase]:
    """The pictures of a finished benchmark, every file compared with its checksum.

    Raises:
        FrozenError: A file is missing, damaged or not the one that was frozen.
    """
    try:
        manifest = read_json_object(folder / MANIFEST)
        if manifest.text("format") != FORMAT:
            raise FrozenError(f"{manifest.where}: expected the format {FORMAT!r}")
        files = manifest.record.get("files")
        if not isinstance(files, dict) or BENCHMARK not in files:
            raise FrozenError(f"{manifest.where}: 'files' must hold a checksum of {BENCHMARK}")
        for name, digest in files.items():
            path = folder / name
            if not path.is_file() or sha256_of(path) != digest:
                raise FrozenError(f"{path} is missing or is not the file that was frozen")
        return [_case(line, folder, files) for line in read_json_lines(folder / BENCHMARK)]
    except JsonFileError as error:
        raise FrozenError(str(error)) from error


def _case(line: JsonLine, folder: Path, files: Mapping[str, str]) -> SpeculativeCase:
    implicit, best = line.record.get("implicit"), line.record.get("best")
    if not isinstance(implicit, list) or not all(isinstance(text, str) for text in implicit):
        raise FrozenError(f"{line.where}: 'implicit' must be a list of texts")
    if not isinstance(best, int) or not 0 <= best < len(implicit):
        raise FrozenError(f"{line.where}: 'best' must be a place in 'implicit', got {best!r:.60}")
    face = line.text("face")
    if face not in files:
        raise FrozenError(f"{line.where}: the manifest does not know {face}")
    return SpeculativeCase(
        line.text("image"),
        line.text("image_sha256"),
        line.text("description"),
        tuple(implicit),
        best,
        folder / face,
        line.optional_text("expression"),
    )


def _read_steps(work: Workspace, choices: Path) -> _Steps:
    candidates = read_step(work.candidates, "propose")
    selection = read_step(work.selection, "select")
    truth = read_step(work.truth, "truth")
    check_made_from(selection, "candidates", work.candidates, "select")
    check_made_from(truth, "selection", work.selection, "truth")
    if not choices.is_file():
        raise SpeculativeError(f"there is no review at {choices}; first run: {COMMAND} review")
    decisions = read_decisions(choices, review_rows(selection))
    undecided = sum(decision == "" for decision in decisions.values())
    if undecided:
        raise SpeculativeError(
            f"{choices} leaves {undecided} of {len(decisions)} sentences open; each must say keep "
            f"or reject"
        )
    return _Steps(candidates, selection, truth, choices, decisions)


def _cases(
    steps: _Steps, work: Workspace
) -> tuple[list[tuple[dict[str, Any], Path]], list[Problem]]:
    """Each line of the benchmark with its record, and what had to be left out."""
    fitted = {f.image: f for f in map(FittedFace.from_record, steps.truth.items)}
    unfitted = {problem.image: problem for problem in steps.truth.problems}
    cases, dropped = [], []
    for selected in map(Selected.from_record, steps.selection.items):
        image = selected.face.image
        kept = [s for s in selected.sentences if steps.decisions[row_id(image, s)] == "keep"]
        if kept and image in fitted:
            record = _checked_record(fitted[image], work)
            cases.append((_line(selected, kept, record.parent.name), record))
        elif kept:
            dropped.append(unfitted.get(image, Problem(image, "it was not fitted")))
    return cases, dropped


def _checked_record(fitted: FittedFace, work: Workspace) -> Path:
    path = work.folder / fitted.record
    again = f"run again: {COMMAND} truth"
    try:
        read_record(path)
    except (FileNotFoundError, FaceRecordError) as error:
        raise SpeculativeError(f"{path} cannot be used: {error}; {again}") from error
    if sha256_of(path) != fitted.sha256:
        raise SpeculativeError(f"{path} has changed since it was fitted; {again}")
    return path


def _line(selected: Selected, kept: Sequence[str], name: str) -> dict[str, Any]:
    face: DescribedFace = selected.face
    return {
        "image": face.image,
        "description": face.description,
        **face.labels,
        "implicit": list(kept),
        "best": kept.index(selected.favourite) if selected.favourite in kept else 0,
        "face": f"{FACES}/{name}.json",
        "image_sha256": face.sha256,
    }


def _manifest(
    steps: _Steps,
    cases: Sequence[Mapping[str, Any]],
    dropped: Sequence[Problem],
    folder: Path,
) -> dict[str, Any]:
    decided = list(steps.decisions.values())
    made = (("propose", steps.candidates), ("select", steps.selection), ("truth", steps.truth))
    return {
        "format": FORMAT,
        "made_with": {name: dict(step.made_with) for name, step in made},
        "versions": {**{name: dict(step.versions) for name, step in made}, "freeze": versions()},
        "review": {"choices_sha256": sha256_of(steps.choices)},
        "counts": {
            "pictures_described": len(steps.candidates.items) + len(steps.candidates.problems),
            "pictures_with_candidates": len(steps.candidates.items),
            "sentences_reviewed": len(decided),
            "sentences_kept_by_review": decided.count("keep"),
            "objections": objection_counts(steps.selection),
            "pictures": len(cases),
            "sentences": sum(len(case["implicit"]) for case in cases),
        },
        # Names only: the reasons may tell where somebody keeps his pictures.
        "problems": {name: [p.image for p in step.problems] for name, step in made},
        "dropped": [p.image for p in dropped],
        "files": {
            path.relative_to(folder).as_posix(): sha256_of(path)
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        },
    }


def _move(unfinished: Path, folder: Path) -> None:
    try:
        unfinished.rename(folder)
    except OSError as error:
        # Somebody else was quicker: a folder that is not empty cannot be replaced by a rename.
        raise SpeculativeError(f"{folder} could not be made: {error}") from error
