"""`facegpt study` as a person meets it."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from facegpt.cli.study import study_app
from facegpt.evaluation.study import serving
from facegpt.evaluation.study.answers import create_answers
from facegpt.evaluation.study.errors import StudyError
from facegpt.evaluation.study.plan import read_study
from facegpt.listening import ServingRefusedError


def run(*arguments: object) -> int:
    return study_app.cli(prog="facegpt study", args=[str(argument) for argument in arguments])


def test_a_study_is_built_and_tallied(
    method_folders: Callable, texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "study"
    build = ("build", *method_folders(), "-o", out, "--texts", texts)
    with pytest.raises(StudyError, match="--questions 3"):
        run(*build)
    assert run(*build, "--questions", 3, "--title", "Faces") == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{out}: 3 questions on 3 methods",
        f"show it with: facegpt study serve {out}",
    ]
    study = read_study(out)
    assert study.title == "Faces"
    answers = create_answers(out / "answers.sqlite3", study.id)
    participant = answers.join()
    answers.save(participant, "q1", study.questions[0].alternatives[0])
    assert run("tally", out, "--counted", "all", "-o", tmp_path / "result") == 0
    said = capsys.readouterr().out
    assert said.startswith("# Faces\n\nParticipants: 0 complete, 1 incomplete (counted, too).")
    assert said.splitlines()[-1] == str(tmp_path / "result" / "tally.csv")


def test_serving_says_where(
    method_folders: Callable,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "study"
    run("build", *method_folders(), "-o", out, "--questions", 3)
    capsys.readouterr()
    served: list[bool] = []

    def interrupted(self: object, sockets: list) -> None:
        served.append(sockets[0].getsockname()[0] == "127.0.0.1")
        raise KeyboardInterrupt

    monkeypatch.setattr(serving.uvicorn.Server, "run", interrupted)
    assert run("serve", out, "--port", 0, "--token", "t" * 16) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("http://127.0.0.1:")
    assert first.endswith(f"/?token={'t' * 16}  (Ctrl-C ends it)")
    assert second == f"the answers are in {out / 'answers.sqlite3'}"
    assert served == [True]
    with pytest.raises(ServingRefusedError, match="needs a token"):
        run("serve", out, "--host", "0.0.0.0")


def test_without_a_web_server_it_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "facegpt.evaluation.study.serving", None)
    with pytest.raises(ValueError, match=r"pip install 'facegpt\[study\]'"):
        run("serve", tmp_path)
