"""A participant in a real browser: pointer, keys, reload, a lost connection, and Ctrl-C at the end.

Needs any Chromium on the PATH, which pip cannot install; without one it is passed over.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chromium import chromium
from facegpt.evaluation.study.answers import open_answers
from facegpt.evaluation.study.plan import Study

COMMAND = "from facegpt.cli.study import study_app; raise SystemExit(study_app.cli())"


@pytest.fixture
def served(built: tuple[Study, Path]) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """The address of the study, and the process of the command."""
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "serve", str(built[1]), "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    with process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[0], process
        process.kill()


@pytest.fixture
def page() -> Iterator[Any]:
    """An empty page of 1280 x 800 pixels; a complaint of the browser fails the test."""
    complaints: list[str] = []
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: said.type == "error" and complaints.append(said.text))
        yield page
    assert [text for text in complaints if "ERR_FAILED" not in text] == []


@pytest.mark.slow
def test_a_participant_goes_through_the_study(
    page: Any, served: tuple[str, "subprocess.Popen[str]"], built: tuple[Study, Path]
) -> None:
    address, process = served
    page.goto(address)
    page.get_by_role("button", name="Begin").click()
    faces = page.locator(".choice")
    reach_question(page, 1)
    assert faces.count() == 3
    assert page.locator("#text").inner_text() == built[0].questions[0].text
    assert page.evaluate("document.activeElement.id") == "question-number"

    faces.nth(1).click()
    reach_question(page, 2)
    page.keyboard.press("9")
    page.keyboard.press("3")
    reach_question(page, 3)
    page.reload()
    reach_question(page, 3)

    page.get_by_role("button", name="Back").click()
    reach_question(page, 2)
    assert [face.get_attribute("aria-pressed") for face in faces.all()] == [
        "false",
        "false",
        "true",
    ]
    page.keyboard.press("ArrowRight")
    reach_question(page, 3)

    page.route("**/api/answers", lambda route: route.abort())
    page.keyboard.press("1")
    page.get_by_text("Your choice was not saved").wait_for()
    assert page.locator(".choice[aria-pressed=true]").count() == 0
    page.unroute("**/api/answers")

    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.get_by_role("button", name="Computer-made face 1").press("Enter")
    page.get_by_role("heading", name="Thank you!").wait_for()
    page.reload()
    page.get_by_role("heading", name="Thank you!").wait_for()

    # The first participant: each alternative is one place further to the left.
    chosen = [
        question.order_for(1)[place]
        for question, place in zip(built[0].questions, (1, 2, 0), strict=True)
    ]
    path = built[1] / "answers.sqlite3"
    [kept] = open_answers(path, built[0].id).by_participant().values()
    assert list(kept.values()) == chosen

    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, f"the answers are in {path}\n")


def reach_question(page: Any, number: int) -> None:
    """Wait until its faces are there; before, the page takes no choice."""
    ready = page.locator("#question[aria-busy=false]")
    ready.filter(has_text=f"Question {number} of 3").wait_for()
