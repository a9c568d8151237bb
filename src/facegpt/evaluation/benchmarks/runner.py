"""One table from methods and data to rows, tables on disk and figures.

Everything that was computed is kept, so a stopped run goes on, and a repeated one only prints. A
method that fails leaves a row of empty cells with its reason; the others are finished. Knows no
command line.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from facegpt.evaluation.benchmarks.errors import BenchmarkError
from facegpt.evaluation.benchmarks.measuring import TRUTH, ItemResult, Measuring
from facegpt.evaluation.benchmarks.orders import Finding, findings_of, replace_findings
from facegpt.evaluation.benchmarks.paper import TABLES, Source, TableSpec
from facegpt.evaluation.benchmarks.photo_data import (
    PhotoSet,
    Selection,
    Sentences,
    evenly,
    read_photo_sets,
    read_texts,
)
from facegpt.evaluation.benchmarks.pictures import write_photo_pages, write_text_pages
from facegpt.evaluation.benchmarks.prediction import ReferenceDetector, Step
from facegpt.evaluation.benchmarks.provenance import commit, versions
from facegpt.evaluation.benchmarks.rows import (
    ALL_GROUPS,
    Cell,
    Row,
    item_rows,
    judge_cells,
    replace_rows,
    study_cells,
)
from facegpt.evaluation.benchmarks.tables import write_tables
from facegpt.evaluation.methods import MethodError, MethodName, Workshop
from facegpt.evaluation.metrics import Bootstrap

FIGURES: dict[str, str] = {"table1": "figure3", "table2": "figure7", "table3": "figure4"}
"""Table -> the figure of the paper that shows the same."""

_NO_JUDGE = (
    "no judge has read its answers; run facegpt benchmark judge, then give --judge OUT/report.json"
)
_NO_STUDY = "no study has asked people; run facegpt study, then give --study TALLY/tally.json"
_NOT_BY_GROUP = "judges and studies are not counted by group"
_NO_DATA = "-"
_WANTED: dict[Source, str] = {
    "photos": "read photos",
    "implicit": "read texts",
    "explicit": "read texts",
    "judge": "talk",
}


@dataclass(frozen=True, eq=False)
class RunSettings:
    """What to measure, and where to keep it."""

    output: Path
    methods: Sequence[MethodName]
    data: Path | None = None
    selection: Selection = field(default_factory=Selection)
    sentences: Sentences = "best"
    thin: Mapping[str, int] = field(default_factory=dict)
    """Label of a slow method -> n: it is asked about every n-th photo or text alone."""
    seed: int = 0
    """Of the bootstrap; nothing else is random."""
    resamples: int = 10_000
    judge: Path | None = None
    """report.json of `facegpt benchmark judge`."""
    study: Path | None = None
    """tally.json of `facegpt study tally`."""
    prompts: Path | None = None
    """JSONL of held-out prompts (`benchmarks.talk.read_prompts`)."""
    landmark_vertices: Int[np.ndarray, "68"] | None = None
    pictures: int = 12
    """Items of a figure; 0 draws none."""
    device: str = "cpu"
    morphable_model: str = "default"

    def __post_init__(self) -> None:
        labels = {method.label for method in self.methods}
        for label, step in self.thin.items():
            if label not in labels or step < 1:
                raise MethodError(
                    f"--thin {label}={step}: wants one of the methods ({', '.join(sorted(labels))})"
                    " and a number of at least 1"
                )

    @property
    def bootstrap(self) -> Bootstrap:
        """How intervals are drawn."""
        return Bootstrap(self.seed, None, self.resamples)

    def made(self, spec: TableSpec) -> dict[str, Any]:
        """What a row of a table was made with."""
        return {
            "split": self.selection.split,
            "every": self.selection.every,
            "limit": self.selection.limit,
            "sentences": self.sentences,
            "seed": self.seed,
            "resamples": self.resamples,
            "morphable_model": self.morphable_model,
            "judge": self.judge.name if self.judge else "",
            "study": self.study.name if self.study else "",
            "prompts": self.prompts.name if self.prompts else "",
            "protocol": spec.protocol,
            "versions": versions(),
            "commit": commit(),
        }


@dataclass(frozen=True)
class TableOutcome:
    """What a table became."""

    rows: tuple[Row, ...]
    findings: tuple[Finding, ...]
    files: tuple[Path, ...]
    failures: Mapping[str, str]
    """Label of a method -> why it could not be measured."""
    passed_over: tuple[str, ...]
    """Methods that do not read what this table gives."""


class Runner:
    """Makes tables one after the other; methods are loaded once for all of them."""

    def __init__(self, settings: RunSettings, step: Step, workshop: Workshop | None = None) -> None:
        """
        Args:
            step: Is told what is being done.
            workshop: What methods are made with; by default from the settings. Its detector must be
                a `ReferenceDetector`.
        """
        self.settings = settings
        self.measuring = Measuring(
            settings.output,
            workshop
            or Workshop(
                ReferenceDetector(),
                device=settings.device,
                morphable_model=settings.morphable_model,
            ),
            step,
            settings.landmark_vertices,
        )

    def can_make(self, name: str) -> bool:
        """Whether some method reads what a table gives."""
        return any(_is_able(TABLES[name], method) for method in self.settings.methods)

    def table(self, name: str) -> TableOutcome:
        """Measure what is missing and write the table.

        Raises:
            BenchmarkError, JsonFileError: Data or results on disk cannot be used.
            MethodError: No method reads what the table gives.
            RegistrationUnavailableError: trimesh is not installed.
        """
        spec, settings = TABLES[name], self.settings
        able = [method for method in settings.methods if _is_able(spec, method)]
        passed_over = tuple(m.label for m in settings.methods if m not in able)
        if settings.methods and not able:
            raise MethodError(
                f"{name} wants methods that {_WANTED[spec.sources[0]]}, and none of "
                f"{', '.join(passed_over)} does"
            )
        results, failures = self._measured(spec, able)
        made = settings.made(spec)
        rows = [
            row for method in able for row in self._rows_of(spec, method, results, failures, made)
        ]
        rows = self._with_others(spec, rows, made)
        rows += _absent_rows(spec, {row.method for row in rows}, made)
        findings = findings_of(spec, results, failures, settings.bootstrap)
        replace_rows(settings.output, name, rows)
        replace_findings(settings.output, name, findings)
        files = write_tables(settings.output / "tables", spec, rows)
        shown = [m for m in able if m.label not in failures and m.label not in settings.thin]
        files += self._figure(spec, shown)
        return TableOutcome(tuple(rows), tuple(findings), tuple(files), failures, passed_over)

    def _measured(
        self, spec: TableSpec, methods: Sequence[MethodName]
    ) -> tuple[dict[str, list[ItemResult]], dict[str, str]]:
        sources: list[Source] = [s for s in spec.sources if s not in ("judge", "study")]
        results: dict[str, list[ItemResult]] = {}
        failures: dict[str, str] = {}
        if spec.sources[0] == "judge" and self.settings.data is None:
            return {}, {}
        given = {source: self._items(source) for source in sources}
        for method in methods:
            try:
                results[method.label] = [
                    result
                    for source in sources
                    if source != "talk" or method.talks
                    for result in self._ask(method, source, self._thinned(method, given[source]))
                ]
            except BenchmarkError:
                raise
            except (ValueError, OSError) as error:
                failures[method.label] = str(error)
        return results, failures

    def _items(self, source: Source) -> Any:
        settings = self.settings
        if settings.data is None:
            raise BenchmarkError("no data given; name a folder with --data (docs/evaluation.md)")
        if source in ("photos", "talk"):
            return read_photo_sets(settings.data, settings.selection)
        assert source in ("implicit", "explicit")
        return read_texts(settings.data, settings.selection, source, settings.sentences)

    def _thinned(self, method: MethodName, items: Any) -> Any:
        """What a method is asked about: every n-th text, or photo of a set."""
        step = self.settings.thin.get(method.label, 1)
        if items and isinstance(items[0], PhotoSet):
            return [replace(photos, items=photos.items[::step]) for photos in items]
        return items[::step]

    def _ask(self, method: MethodName, source: Source, items: Any) -> list[ItemResult]:
        if source == "photos":
            return self.measuring.photos(method, items)
        if source == "talk":
            return self.measuring.talk(method, items, self.settings.prompts)
        assert source in ("implicit", "explicit")
        return self.measuring.texts(method, items, source)

    def _rows_of(
        self,
        spec: TableSpec,
        method: MethodName,
        results: Mapping[str, Sequence[ItemResult]],
        failures: Mapping[str, str],
        made: Mapping[str, Any],
    ) -> list[Row]:
        named = (method.label, method.command_text)
        made = {**made, "thin": self.settings.thin.get(method.label, 1)}
        if method.label in failures:
            return [_empty_row(spec, named, failures[method.label], made)]
        if not results.get(method.label):
            return [_empty_row(spec, named, "no data given; name some with --data", made)]
        return item_rows(spec, named, results[method.label], self.settings.bootstrap, made)

    def _with_others(
        self, spec: TableSpec, rows: Sequence[Row], made: Mapping[str, Any]
    ) -> list[Row]:
        """The rows with what a judge and a study said."""
        settings = self.settings
        judged = judge_cells(settings.judge) if settings.judge else {}
        preferred = study_cells(settings.study) if settings.study else {}
        extra = {column.name for column in spec.columns if column.source in ("judge", "study")}
        found = []
        for row in rows:
            cells = dict(row.cells)
            for name in extra:
                if row.group != ALL_GROUPS:
                    cells[name] = Cell(reason=_NOT_BY_GROUP)
                elif name.startswith("study"):
                    cells[name] = preferred.get(row.method) or Cell(reason=_NO_STUDY)
                else:
                    cells[name] = judged.get(row.method, {}).get(name) or Cell(reason=_NO_JUDGE)
            found.append(replace(row, cells=cells))
        if spec.sources[0] == "judge":
            known = {row.method for row in found}
            others = {label: cells for label, cells in judged.items() if label not in known}
            found += [
                Row(spec.name, label, "--judge report.json", _NO_DATA, ALL_GROUPS, cells, made)
                for label, cells in others.items()
            ]
        return found

    def _figure(self, spec: TableSpec, methods: Sequence[MethodName]) -> list[Path]:
        shown = [method for method in methods if not method.program]
        if spec.name not in FIGURES or not self.settings.pictures or not shown:
            return []
        folder = self.settings.output / "figures"
        name, most = FIGURES[spec.name], self.settings.pictures
        predictions = self.measuring.predictions
        if "photos" in spec.sources:
            files = []
            for photos in self._items("photos"):
                chosen = evenly(photos.items, most)
                stores = {m.label: predictions.of_photos(m, chosen) for m in shown}
                place = folder / f"{name}-{photos.name}"
                files += write_photo_pages(place, chosen, stores, self.measuring.model)
            return files
        texts = self._items(spec.sources[0])
        chosen = evenly(texts, most)
        truth = predictions.of_photos(TRUTH, [item.photo for item in chosen])
        stores = {m.label: predictions.of_texts(m, chosen) for m in shown}
        return write_text_pages(folder / name, chosen, truth, stores, self.measuring.model)


def _is_able(spec: TableSpec, method: MethodName) -> bool:
    if "photos" in spec.sources:
        return method.reads_photos
    return method.talks if spec.sources[0] == "judge" else method.reads_texts


def _empty_row(
    spec: TableSpec, method: tuple[str, str], reason: str, made: Mapping[str, Any]
) -> Row:
    cells = {column.name: Cell(reason=reason) for column in spec.columns}
    return Row(spec.name, *method, _NO_DATA, ALL_GROUPS, cells, made)


def _absent_rows(spec: TableSpec, there: set[str], made: Mapping[str, Any]) -> list[Row]:
    """The methods of the paper's table that were not given."""
    return [
        _empty_row(spec, (label, f"{label}=FOLDER"), f"not measured; {how}", made)
        for label, how in spec.expected.items()
        if label not in there
    ]
