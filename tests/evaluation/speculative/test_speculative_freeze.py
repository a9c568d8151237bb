"""Pseudo ground truth and the frozen folder: crashes, damage, and that nothing is written over."""

import json
import shutil
from pathlib import Path

import pytest
from sfg_folder import (
    PLACES,
    FakeFit,
    SfgFolder,
    fill,
    good_sentences,
    picture,
    select_without_model,
)

from facegpt import fitting as fitting_module
from facegpt.cli.benchmark import benchmark_app
from facegpt.data.describe import FileDescriber
from facegpt.evaluation.json_lines import sha256_of
from facegpt.evaluation.speculative import freeze as freeze_module
from facegpt.evaluation.speculative.freeze import FrozenError, freeze, read_frozen
from facegpt.evaluation.speculative.page import make_review
from facegpt.evaluation.speculative.propose import Proposal
from facegpt.evaluation.speculative.rules import SelectionRules
from facegpt.evaluation.speculative.selection import Selected, select
from facegpt.evaluation.speculative.sources import read_sources
from facegpt.evaluation.speculative.truth import FittedFace, TruthSettings, fit_truth
from facegpt.evaluation.speculative.workspace import (
    SpeculativeError,
    StepFile,
    read_step,
    write_step,
)
from facegpt.reconstruction import read_record
from fake_chat_server import FakeChatServer

SETTINGS = TruthSettings(steps=4)


@pytest.fixture
def selected(sfg: SfgFolder) -> SfgFolder:
    select_without_model(sfg)
    return sfg


def run_truth(sfg: SfgFolder, fit: FakeFit, settings: TruthSettings = SETTINGS) -> StepFile:
    return fit_truth(sfg.work, sfg.images, fit, settings)


@pytest.fixture
def ready(selected: SfgFolder, fit: FakeFit) -> SfgFolder:
    """Everything but the last step is done; every sentence is kept."""
    run_truth(selected, fit)
    rows, _ = make_review(selected.work, selected.images)
    fill(selected.work.sheet, rows)
    return selected


def test_every_face_gets_a_record(selected: SfgFolder, fit: FakeFit) -> None:
    heard: list[tuple[int, int]] = []
    step = fit_truth(
        selected.work, selected.images, fit, SETTINGS, lambda *numbers: heard.append(numbers)
    )
    assert heard == [(1, 3), (2, 3), (3, 3)]
    fitted = [FittedFace.from_record(item) for item in step.items]
    assert [f.image for f in fitted] == list(PLACES)
    assert [f.faces for f in fitted] == [1, 1, 2]
    for one in fitted:
        path = selected.work.folder / one.record
        assert read_record(path).method == "fit"
        assert sha256_of(path) == one.sha256
    assert step.made_with["steps"] == 4


def test_fitted_pictures_are_passed_over(selected: SfgFolder, fit: FakeFit) -> None:
    first = run_truth(selected, fit)
    before = selected.work.truth.read_bytes()
    assert run_truth(selected, fit) == first
    assert len(fit.fitted) == 3
    assert selected.work.truth.read_bytes() == before
    # Records of other settings are no records of these.
    run_truth(selected, fit, TruthSettings(steps=5))
    assert len(fit.fitted) == 6


def test_a_crash_costs_one_batch(sfg: SfgFolder, fit: FakeFit) -> None:
    lines = [
        json.dumps({"image": f"{number}.png", "description": f"He stands at place {number}."})
        for number in range(12)
    ]
    sfg.descriptions.write_text("\n".join(lines))
    for number in range(12):
        picture(sfg.images / f"{number}.png", 110 + number)
    faces = read_sources(sfg.images, sfg.descriptions).faces
    words = [f"This person has just won prize number {n} at bingo." for n in range(12)]
    write_step(
        sfg.work.candidates,
        {},
        [Proposal(f, (w,)).to_record() for f, w in zip(faces, words, strict=True)],
    )
    select(sfg.work, SelectionRules(similarity=1.0))
    fit.breaks_after = 8
    with pytest.raises(KeyboardInterrupt):
        run_truth(sfg, fit)
    assert not sfg.work.truth.exists()
    assert len(fit.fitted) == 8
    fit.breaks_after = 1_000
    step = run_truth(sfg, fit)
    assert len(step.items) == 12
    assert len(fit.fitted) == 12


def test_pictures_without_a_face_broken_changed_or_gone(
    selected: SfgFolder, fit: FakeFit, sfg: SfgFolder
) -> None:
    picture(sfg.images / "a.png", 0)
    (sfg.images / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n but not really")
    select_without_model(sfg)
    (sfg.images / "c.png").unlink()
    step = run_truth(sfg, fit)
    reasons = {problem.image: problem.reason for problem in step.problems}
    assert step.items == ()
    assert reasons["a.png"] == "there is no face in it"
    assert "b.png" in reasons["b.png"]
    assert "there is no such picture" in reasons["c.png"]
    picture(sfg.images / "c.png", 77)
    step = run_truth(sfg, fit)
    assert step.problems[0].reason == "the picture is not the one that was described"


def test_a_damaged_record_is_fitted_again(selected: SfgFolder, fit: FakeFit) -> None:
    step = run_truth(selected, fit)
    path = selected.work.folder / step.items[1].record["record"]
    path.write_bytes(path.read_bytes()[:100])
    assert run_truth(selected, fit) == step
    assert fit.fitted == [100, 101, 102, 101]


def test_a_benchmark_is_frozen(ready: SfgFolder, tmp_path: Path) -> None:
    report = freeze(ready.work, tmp_path / "sfg")
    assert (report.pictures, report.sentences, report.dropped) == (3, 9, ())
    cases = read_frozen(tmp_path / "sfg")
    assert [case.image for case in cases] == list(PLACES)
    assert cases[1].implicit == tuple(good_sentences("airport"))
    assert cases[1].expression == "neutral"
    assert cases[1].image_sha256 == sha256_of(ready.images / "b.png")
    assert read_record(cases[1].face).method == "fit"
    line = json.loads((tmp_path / "sfg/benchmark.jsonl").read_text().splitlines()[0])
    assert list(line) == [
        "image", "description", "short", "expression", "intensity", "implicit", "best", "face",
        "image_sha256",
    ]  # fmt: skip
    manifest = json.loads((tmp_path / "sfg/manifest.json").read_text())
    assert manifest["counts"]["sentences_reviewed"] == 9
    assert manifest["made_with"]["truth"]["steps"] == 4
    assert manifest["versions"]["freeze"]["python"]
    assert len(manifest["files"]) == 4
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".sfg")]


def test_the_data_set_builder_takes_it(ready: SfgFolder, tmp_path: Path) -> None:
    freeze(ready.work, tmp_path / "sfg")
    describer = FileDescriber([tmp_path / "sfg" / "benchmark.jsonl"])
    assert describer.damaged == ()
    assert len(describer) == 3


def test_best_is_the_favourite_where_it_was_kept(ready: SfgFolder, tmp_path: Path) -> None:
    rows, _ = make_review(ready.work, ready.images)
    step = read_step(ready.work.selection, "select")
    record = json.loads(ready.work.selection.read_text())
    for item, place in zip(record["items"], PLACES.values(), strict=True):
        item["favourite"] = good_sentences(place)[1]
    ready.work.selection.write_text(json.dumps(record))
    truth = json.loads(ready.work.truth.read_text())
    truth["made_with"]["selection"] = sha256_of(ready.work.selection)
    ready.work.truth.write_text(json.dumps(truth))
    assert Selected.from_record(step.items[0]).favourite == ""
    rejected = {rows[0].row_id, rows[4].row_id}
    lines = [f"{r.row_id},{'reject' if r.row_id in rejected else 'keep'}" for r in rows]
    choices = tmp_path / "choices.csv"
    choices.write_text("id,decision\n" + "\n".join(lines))
    freeze(ready.work, tmp_path / "sfg", choices)
    cases = read_frozen(tmp_path / "sfg")
    # Kept at place 1 of three; moved to place 0 of two; rejected itself, so the first one.
    assert [(case.best, len(case.implicit)) for case in cases] == [(0, 2), (0, 2), (1, 3)]
    assert cases[0].implicit[0] == good_sentences("harbour")[1]


def test_a_frozen_benchmark_is_never_written_over(ready: SfgFolder, tmp_path: Path) -> None:
    freeze(ready.work, tmp_path / "sfg")
    before = sha256_of(tmp_path / "sfg" / "manifest.json")
    with pytest.raises(SpeculativeError, match="is there already"):
        freeze(ready.work, tmp_path / "sfg")
    assert sha256_of(tmp_path / "sfg" / "manifest.json") == before
    (tmp_path / "empty").mkdir()
    with pytest.raises(SpeculativeError, match="is there already"):
        freeze(ready.work, tmp_path / "empty")


def test_the_same_steps_freeze_to_the_same_bytes(ready: SfgFolder, tmp_path: Path) -> None:
    freeze(ready.work, tmp_path / "one")
    freeze(ready.work, tmp_path / "two")
    for path in (tmp_path / "one").rglob("*.json*"):
        twin = tmp_path / "two" / path.relative_to(tmp_path / "one")
        assert path.read_bytes() == twin.read_bytes()


def test_a_crash_while_freezing_leaves_nothing(
    ready: SfgFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    target = tmp_path / "out" / "sfg"
    for name in ("write_json_object", "_manifest", "_move"):
        monkeypatch.setattr(freeze_module, name, crash)
        with pytest.raises(KeyboardInterrupt):
            freeze(ready.work, target)
        assert list(target.parent.iterdir()) == []
        monkeypatch.undo()
    assert freeze(ready.work, target).pictures == 3


def test_somebody_quicker_wins(
    ready: SfgFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out" / "sfg"
    made = freeze_module._manifest

    def meanwhile(*arguments: object) -> dict:
        target.mkdir()
        (target / "theirs").write_text("x")
        return made(*arguments)

    monkeypatch.setattr(freeze_module, "_manifest", meanwhile)
    with pytest.raises(SpeculativeError, match="could not be made"):
        freeze(ready.work, target)
    assert [path.name for path in target.parent.iterdir()] == ["sfg"]
    assert (target / "theirs").read_text() == "x"


def test_steps_that_are_missing_or_older_than_the_one_before(
    selected: SfgFolder, fit: FakeFit, tmp_path: Path
) -> None:
    work = selected.work
    with pytest.raises(SpeculativeError, match=r"first run: .* truth"):
        freeze(work, tmp_path / "sfg")
    run_truth(selected, fit)
    with pytest.raises(SpeculativeError, match=r"no review at .* first run: .* review"):
        freeze(work, tmp_path / "sfg")
    rows, _ = make_review(work, selected.images)
    with pytest.raises(SpeculativeError, match="leaves 9 of 9 sentences open"):
        freeze(work, tmp_path / "sfg")
    fill(work.sheet, rows, "reject")
    with pytest.raises(SpeculativeError, match="no sentence with a fitted face was kept"):
        freeze(work, tmp_path / "sfg")
    fill(work.sheet, rows)
    whole = work.selection.read_text()
    work.selection.write_text(whole + "\n")
    with pytest.raises(SpeculativeError, match=r"has changed since .* run again: .* truth"):
        freeze(work, tmp_path / "sfg")
    work.selection.write_text(whole)
    work.candidates.write_text(work.candidates.read_text() + "\n")
    with pytest.raises(SpeculativeError, match=r"has changed since .* run again: .* select"):
        freeze(work, tmp_path / "sfg")
    assert not (tmp_path / "sfg").exists()


def test_records_that_were_damaged_or_changed(ready: SfgFolder, tmp_path: Path) -> None:
    step = read_step(ready.work.truth, "truth")
    path = ready.work.folder / step.items[0].record["record"]
    whole = path.read_text()
    for damage, message in (
        (whole[:200], "cannot be used: .* run again: .* truth"),
        (whole + "\n", "has changed since it was fitted"),
        (None, "cannot be used"),
    ):
        path.unlink() if damage is None else path.write_text(damage)
        with pytest.raises(SpeculativeError, match=message):
            freeze(ready.work, tmp_path / "sfg")
    assert not (tmp_path / "sfg").exists()


def test_a_kept_face_without_truth_is_dropped_and_named(
    selected: SfgFolder, fit: FakeFit, tmp_path: Path
) -> None:
    picture(selected.images / "a.png", 0)
    select_without_model(selected)
    run_truth(selected, fit)
    rows, _ = make_review(selected.work, selected.images)
    fill(selected.work.sheet, rows)
    report = freeze(selected.work, tmp_path / "sfg")
    assert report.pictures == 2
    assert [(p.image, p.reason) for p in report.dropped] == [("a.png", "there is no face in it")]
    manifest = json.loads((tmp_path / "sfg" / "manifest.json").read_text())
    assert manifest["dropped"] == ["a.png"]
    assert manifest["problems"] == {"propose": [], "select": [], "truth": ["a.png"]}
    assert str(tmp_path) not in json.dumps(manifest)


def test_a_changed_benchmark_is_noticed(ready: SfgFolder, tmp_path: Path) -> None:
    folder = tmp_path / "sfg"
    freeze(ready.work, folder)
    for name in ("benchmark.jsonl", next(iter((folder / "faces").iterdir())).name):
        copy = tmp_path / f"copy-of-{name}"
        shutil.copytree(folder, copy)
        [path] = copy.rglob(name)
        path.write_text(path.read_text() + " ")
        with pytest.raises(FrozenError, match="is not the file that was frozen"):
            read_frozen(copy)
        path.unlink()
        with pytest.raises(FrozenError, match="is missing"):
            read_frozen(copy)
        (copy / "manifest.json").write_text("{")
        with pytest.raises(FrozenError, match="not JSON"):
            read_frozen(copy)
    with pytest.raises(FrozenError, match="there is no file"):
        read_frozen(tmp_path / "nowhere")


def call(*arguments: object) -> int:
    return benchmark_app.cli(
        prog="facegpt benchmark", args=["build-sfg", *(str(argument) for argument in arguments)]
    )


def test_the_commands_from_pictures_to_a_frozen_benchmark(
    sfg: SfgFolder,
    server: FakeChatServer,
    fit: FakeFit,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("openai")
    monkeypatch.setattr(fitting_module, "AnalysisBySynthesis", lambda model, settings: fit)
    work = sfg.work.folder
    common = ("--model", "m", "--server", server.url)
    assert call(
        "propose", "--images", sfg.images, "--descriptions", sfg.descriptions, "-o", work, *common
    ) == 0  # fmt: skip
    assert call("select", work, "--images", sfg.images, *common) == 0
    assert call("review", work, "--images", sfg.images) == 0
    assert call("truth", work, "--images", sfg.images, "--steps", 4) == 0
    shown = capsys.readouterr()
    assert "12 situations for 3 pictures" in shown.out
    assert "9 situations passed" in shown.out
    assert "rejected, names what the face does: 3" in shown.out
    assert "1 pictures hold several faces" in shown.err
    rows, _ = make_review(sfg.work, sfg.images)
    choices = fill(tmp_path / "choices.csv", rows)
    assert call("freeze", work, "-o", tmp_path / "sfg", "--choices", choices) == 0
    assert "3 pictures with 9 situations" in capsys.readouterr().out
    cases = read_frozen(tmp_path / "sfg")
    assert [case.best for case in cases] == [1, 1, 1]
    made_with = json.loads((tmp_path / "sfg" / "manifest.json").read_text())["made_with"]
    assert made_with["propose"]["model"] == "m"
    assert made_with["propose"]["seed"] == 0
    assert "{description}" in made_with["propose"]["prompt"]
    assert made_with["select"]["ranking"]["temperature"] == 0
    asked = len(server.asked)
    assert call("select", work, "--images", sfg.images, *common) == 0
    assert len(server.asked) == asked


def test_a_step_with_problems_exits_with_1_and_names_them(
    sfg: SfgFolder, server: FakeChatServer, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("openai")
    (sfg.images / "b.png").unlink()
    code = call(
        "propose", "--images", sfg.images, "--descriptions", sfg.descriptions,
        "-o", sfg.work.folder, "--model", "m", "--server", server.url,
    )  # fmt: skip
    assert code == 1
    assert "b.png: there is no such picture" in capsys.readouterr().err
