"""Tables end to end on rendered faces: numbers, resuming, failures, pictures."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facegpt.cli.evaluate import evaluate_app
from facegpt.evaluation import methods
from facegpt.evaluation.answering import TextMethod
from facegpt.evaluation.benchmarks.crops import write_crops
from facegpt.evaluation.benchmarks.photo_data import Selection, read_photo_sets
from facegpt.evaluation.benchmarks.report import write_report
from facegpt.evaluation.benchmarks.rows import read_rows
from facegpt.evaluation.benchmarks.runner import Runner, RunSettings, TableOutcome
from facegpt.evaluation.methods import MethodError, parse_methods
from facegpt.morphable.parameters import FaceParameters


def run(
    data: Path | None, output: Path, *given: str, table: str = "table3", **options: object
) -> TableOutcome:
    names = parse_methods(given or ("mean-face", "fit"))
    settings = RunSettings(output, names, data, resamples=50, pictures=0, **options)  # type: ignore[arg-type]
    return Runner(settings, lambda what, done, total: None).table(table)


def value(outcome: TableOutcome, method: str, column: str, group: str = "all") -> float:
    [found] = [r for r in outcome.rows if (r.method, r.group) == (method, group)]
    number = found.cells[column].value
    assert number is not None
    return number


def test_photos_are_measured_against_their_points(data, truth, tmp_path: Path) -> None:
    outcome = run(data.folder, tmp_path / "out")
    # The truth knows the rendered pose; only the alignment by five points moves the crop a little.
    assert value(outcome, "fit", "photos.landmark_px") < value(
        outcome, "mean-face", "photos.landmark_px"
    )
    groups = [value(outcome, "fit", "photos.nme", g) for g in ("asian", "white")]
    assert value(outcome, "fit", "photos.nme") == pytest.approx(np.mean(groups))
    [made] = {row.made["commit"] for row in outcome.rows}
    assert isinstance(made, str)
    deca = next(row for row in outcome.rows if row.method == "deca")
    assert "external_methods.md" in deca.cells["photos.nme"].reason


def test_a_repeated_run_asks_nobody(data, truth, tmp_path: Path) -> None:
    first = run(data.folder, tmp_path / "out", "fit", selection=Selection(limit=2))
    assert truth.asked == 2
    again = run(data.folder, tmp_path / "out", "fit", selection=Selection(limit=2))
    assert truth.asked == 2
    assert again.rows == first.rows
    run(data.folder, tmp_path / "out", "fit")
    assert truth.asked == 4
    tables = tmp_path / "out" / "tables"
    assert {p.suffix for p in tables.iterdir()} == {".md", ".csv", ".tex"}


def test_a_slow_method_is_asked_about_fewer_items(data, truth, tmp_path: Path) -> None:
    outcome = run(data.folder, tmp_path / "out", "mean-face", "fit", thin={"fit": 2})
    assert truth.asked == 2
    counts = {
        row.title: row.cells["photos.nme"].n
        for row in outcome.rows
        if row.group == "all" and row.method in ("fit", "mean-face")
    }
    assert counts == {"mean-face": 4, "fit (1 of 2 items)": 2}
    text = (tmp_path / "out" / "tables" / "table3.md").read_text()
    assert "| fit (1 of 2 items) | 2 |" in text
    page = write_report(tmp_path / "out", tmp_path / "results.md").read_text()
    assert "--method mean-face --method fit --thin fit=2 " in page


@pytest.mark.parametrize("thin", [{"nano": 2}, {"fit": 0}])
def test_thinning_that_means_nothing(thin: dict[str, int], tmp_path: Path) -> None:
    with pytest.raises(MethodError, match=r"--thin .* wants one of the methods \(fit\)"):
        run(None, tmp_path / "out", "fit", thin=thin)


@pytest.mark.parametrize("text", ["llava-key", "llava-key=", "=8", "llava-key=-1"])
def test_thinning_that_cannot_be_read(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="wants NAME=N"):
        evaluate_app.cli(args=["table3", "--output", str(tmp_path / "out"), "--thin", text])


def test_a_stopped_run_goes_on(
    data, truth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facegpt.evaluation.benchmarks.prediction.AT_ONCE", 1)
    estimate = truth.estimate

    def stops(faces):
        if truth.asked == 2:
            raise KeyboardInterrupt
        return estimate(faces)

    truth.estimate = stops
    with pytest.raises(KeyboardInterrupt):
        run(data.folder, tmp_path / "out", "fit")
    truth.estimate = estimate
    run(data.folder, tmp_path / "out", "fit")
    assert truth.asked == 4


def test_texts_are_measured_against_the_fit_of_their_photo(data, truth, tmp_path: Path) -> None:
    pytest.importorskip("trimesh")
    outcome = run(data.folder, tmp_path / "out", "mean-face", table="table2")
    assert truth.asked == 3
    distances = [
        json.loads(line)["values"]["chamfer_mm"]
        for line in (tmp_path / "out/items/explicit/mean-face.jsonl").read_text().splitlines()[1:]
    ]
    assert value(outcome, "mean-face", "explicit.chamfer_mm") == pytest.approx(np.mean(distances))
    assert min(distances) > 0
    assert value(outcome, "mean-face", "explicit.complete_10mm") <= 100


def test_a_photo_that_cannot_be_read_is_told(data, truth, tmp_path: Path) -> None:
    (data.folder / "color" / data.names[0]).write_bytes(b"no picture")
    outcome = run(data.folder, tmp_path / "out", "fit")
    cell = next(r for r in outcome.rows if r.method == "fit").cells["photos.nme"]
    assert cell.n == 3
    assert cell.reason.startswith("1 of 4 missing")


def test_a_method_that_fails_leaves_a_reason(data, truth, tmp_path: Path) -> None:
    outcome = run(data.folder, tmp_path / "out", "mean-face", f"vision={tmp_path}")
    assert "no vision tower" in outcome.failures["vision"]
    row = next(r for r in outcome.rows if r.method == "vision")
    assert all("no vision tower" in cell.reason for cell in row.cells.values())
    assert value(outcome, "mean-face", "photos.nme") > 0
    assert len(read_rows(tmp_path / "out")) == len(outcome.rows)


def test_methods_that_read_no_texts(data, truth, tmp_path: Path) -> None:
    with pytest.raises(MethodError, match="none of fit does"):
        run(data.folder, tmp_path / "out", "fit", table="table1")


def test_an_entry_of_the_registry_is_a_method(
    data, truth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The seam for baselines: one entry, and `NAME=FOLDER` is measured."""
    monkeypatch.setitem(methods.PHOTO_METHODS, "regression", methods.PHOTO_METHODS["fit"])
    outcome = run(data.folder, tmp_path / "out", f"regression={tmp_path}", table="table7")
    assert value(outcome, "regression", "photos.landmark_px") >= 0


def test_a_text_that_becomes_no_face(
    data, truth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("trimesh")
    made = FaceParameters.zeros(1)

    def speechless(name: methods.MethodName, workshop: methods.Workshop) -> TextMethod:
        class Half:
            model = workshop.model

            def faces_of_texts(self, texts: Sequence[str]) -> list[FaceParameters | str]:
                return [made if "1" in text else "it was lost for words" for text in texts]

        return Half()

    monkeypatch.setitem(methods.TEXT_METHODS, "half", speechless)
    outcome = run(data.folder, tmp_path / "out", f"half={tmp_path}", table="table1")
    cell = next(r for r in outcome.rows if r.method == "half").cells["implicit.chamfer_mm"]
    assert (cell.n, cell.reason) == (1, "2 of 3 missing: it was lost for words")
    preference = next(r for r in outcome.rows if r.method == "half").cells["study.preference"]
    assert "facegpt study" in preference.reason


def test_judged_models_are_rows(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    score = {"value": 80.5, "interval": [70.0, 90.0], "questions": 30}
    report.write_text(json.dumps({"models": {"other": {"scores": {"all": score}}}}))
    outcome = run(None, tmp_path / "out", "nano", table="table4", judge=report)
    assert value(outcome, "other", "judge.all") == 80.5
    row = next(r for r in outcome.rows if r.method == "nano")
    assert "facegpt benchmark judge" in row.cells["judge.all"].reason
    assert "--data" in row.cells["talk.agrees"].reason


def test_the_command_with_pictures_and_report(
    data, truth, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--method", "mean-face", "--method", "fit", "--data", str(data.folder)]
    given += ["-o", str(tmp_path / "out"), "--resamples", "50", "--limit", "2"]
    assert evaluate_app.cli(args=["table3", *given]) == 0
    assert "Table 3: 3D faces from photos" in capsys.readouterr().out
    [picture] = (tmp_path / "out" / "figures").glob("figure4-color-*.png")
    (tmp_path / "out" / "figures" / "figure4-color-2.png").write_bytes(b"of a longer figure")
    assert evaluate_app.cli(args=["table3", *given]) == 0
    assert list((tmp_path / "out" / "figures").glob("figure4-color-*.png")) == [picture]
    with Image.open(picture) as page:
        assert page.width > page.height
    page = tmp_path / "page.md"
    assert evaluate_app.cli(args=["report", str(tmp_path / "out"), "-o", str(page)]) == 0
    assert "facegpt evaluate table3" in page.read_text()


def test_crops_for_other_programs(data, tmp_path: Path) -> None:
    [photos] = read_photo_sets(data.folder, Selection(limit=1))
    assert write_crops(tmp_path / "crops", photos.items) == (1, [])
    with Image.open(tmp_path / "crops" / "c0000.png") as crop:
        assert crop.size == (224, 224)
    five = np.loadtxt(tmp_path / "crops" / "detections" / "c0000.txt")
    assert five.shape == (5, 2)
    assert np.linalg.norm(five[1] - five[0]) == pytest.approx(63, abs=6)
