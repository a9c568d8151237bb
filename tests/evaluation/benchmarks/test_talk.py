"""What a method says: the questions, the verdicts, and the way to the model and back."""

import json
from pathlib import Path

import pytest

from facegpt.evaluation import methods
from facegpt.evaluation.benchmarks import talk
from facegpt.evaluation.benchmarks.errors import DataFolderError
from facegpt.evaluation.benchmarks.photo_data import PhotoSet, Selection, read_photo_sets
from facegpt.evaluation.benchmarks.prediction import ReferenceDetector
from facegpt.evaluation.benchmarks.runner import Runner, RunSettings
from facegpt.evaluation.benchmarks.talk import TalkItem
from facegpt.evaluation.methods import MethodError, MethodName, Workshop
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from tiny_facegpt import saying, tiny_facegpt


def test_only_what_is_clear_is_asked(data, tiny_face_model: MorphableModel) -> None:
    [photos] = read_photo_sets(data.folder, Selection())
    turned = FaceParameters.zeros(1)
    turned.camera[:, 1] = 0.5
    doubtful = FaceParameters.zeros(1)
    doubtful.camera[:, 1] = 0.11
    few = PhotoSet("color", photos.items[:3])
    found = talk.photo_questions(few, [turned, doubtful, None], tiny_face_model)
    sides = {item.name: answer for item, answer in found if item.topic == "turned"}
    assert sides == {"c0000": "right"}
    assert {item.name for item, _ in found} <= {"c0000", "c0001"}
    assert len({item.key for item, _ in found}) == len(found)


@pytest.mark.parametrize(
    ("item", "answer", "expected"),
    [
        (TalkItem("Is this person smiling?", "d", topic="smile"), "Yes.", {"agrees": 1.0}),
        (TalkItem("Is this person smiling?", "d", topic="smile"), "Who knows?", {"agrees": 0.0}),
        (TalkItem("Make it", "p", wants_face=True), "It is <FACE>.", {"face_made": 1.0}),
        (TalkItem("Make it", "p", wants_face=True), "No.", {"face_made": 0.0}),
        (TalkItem("Sum of 1 and 2", "p"), "It is <FACE>.", {"face_left_out": 0.0}),
    ],
)
def test_verdicts(item: TalkItem, answer: str, expected: dict[str, float]) -> None:
    assert talk.verdict(item, answer, True) == expected


def test_prompts(data, tmp_path: Path) -> None:
    [photos] = read_photo_sets(data.folder, Selection())
    path = tmp_path / "prompts.jsonl"
    rows = [{"prompt": "Make it 3D", "wants_face": True, "photo": True}]
    rows += [{"prompt": "Say hello", "wants_face": False}]
    path.write_text("\n".join(map(json.dumps, rows)))
    first, second = talk.read_prompts(path, photos.items)
    assert (first.photo, first.wants_face) == (photos.items[0], True)
    assert (second.photo, second.wants_face, second.name) == (None, False, "Say hello")
    with pytest.raises(DataFolderError, match="needs a photo"):
        talk.read_prompts(path, [])
    path.write_text('{"prompt": "Say hello"}')
    with pytest.raises(DataFolderError, match="wants_face"):
        talk.read_prompts(path, photos.items)


def test_answers_are_asked_once_and_judged(
    data,
    truth,
    tiny_face_model: MorphableModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    facegpt = tiny_facegpt(tiny_face_model)
    facegpt.detector = ReferenceDetector()
    workshop = Workshop(facegpt.detector)
    monkeypatch.setattr(Workshop, "facegpt", lambda self, folder: facegpt)
    monkeypatch.setattr("facegpt.evaluation.benchmarks.measuring._AT_ONCE", 1)
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text('{"prompt": "Say hello", "wants_face": false}')
    settings = RunSettings(
        tmp_path / "out",
        [MethodName("mine", "weights", tmp_path / "data")],
        data.folder,
        Selection(limit=2),
        resamples=50,
        prompts=prompts,
    )
    runner = Runner(settings, lambda what, done, total: None, workshop)
    with saying(facegpt.network, "No."):
        # The script is said once; whoever asks later hears nothing, which is an answer, too.
        outcome = runner.table("table4")
    answers = (tmp_path / "out" / "items" / "talk" / "mine.jsonl").read_text().splitlines()
    rows = {row.data: row for row in outcome.rows if row.group == "all"}
    assert set(rows) == {"color", "prompts"}
    assert rows["prompts"].cells["talk.face_left_out"].n == 1
    assert rows["color"].cells["talk.agrees"].n == len(answers) - 2
    monkeypatch.setattr(talk, "ask", lambda *_: pytest.fail("it was asked again"))
    assert runner.table("table4").rows == outcome.rows


def test_methods_that_do_not_talk() -> None:
    with pytest.raises(MethodError, match="fit does not talk"):
        methods.talker(MethodName("fit", "fit"), Workshop())
