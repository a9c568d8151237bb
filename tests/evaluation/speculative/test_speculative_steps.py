"""Proposing and selecting against a real server: damage, crashes, resuming, side by side."""

import json
import logging
import os
import threading
from collections.abc import Callable
from typing import Any

import pytest
from sfg_folder import PLACES, SfgFolder, good_sentences, place_of, writes

from facegpt.evaluation.asking import Interviewer
from facegpt.evaluation.json_lines import JsonFileError
from facegpt.evaluation.speculative.propose import Proposal, ProposeSettings, propose
from facegpt.evaluation.speculative.rules import SelectionRules
from facegpt.evaluation.speculative.selection import Ranking, Selected, objection_counts, select
from facegpt.evaluation.speculative.sources import read_sources
from facegpt.evaluation.speculative.workspace import DescribedFace, SpeculativeError, StepFile
from fake_chat_server import FakeChatServer, completion, question_of

pytest.importorskip("openai")

Make = Callable[..., Interviewer]
RULES = SelectionRules()


def run_propose(sfg: SfgFolder, interviewer: Interviewer, **options: Any) -> StepFile:
    settings = ProposeSettings(options.pop("count", 5), options.pop("with_picture", True))
    sources = read_sources(sfg.images, sfg.descriptions)
    return propose(sfg.work, sources, interviewer, settings, **options)


def stop_after(number: int) -> Callable[[int, int], None]:
    def stop(done: int, _: int) -> None:
        if done == number:
            raise KeyboardInterrupt

    return stop


def test_situations_are_proposed(make: Make, server: FakeChatServer, sfg: SfgFolder) -> None:
    step = run_propose(sfg, make())
    assert [item.record["image"] for item in step.items] == list(PLACES)
    first = Proposal.from_record(step.items[0])
    assert first.sentences[:3] == tuple(good_sentences("harbour"))
    assert first.face.labels == {
        "short": "a man at the harbour", "expression": "neutral", "intensity": 1
    }  # fmt: skip
    assert len(server.asked) == 3
    body = server.asked[0]
    assert body["seed"] == 5
    assert body["messages"][0]["content"][0]["image_url"]["url"].startswith("data:image/jpeg;base")
    assert "Write the 5 descriptions" in question_of(body)


def test_models_without_eyes_get_words_alone(
    make: Make, server: FakeChatServer, sfg: SfgFolder
) -> None:
    run_propose(sfg, make(), with_picture=False)
    assert all(isinstance(body["messages"][0]["content"], str) for body in server.asked)


def test_more_than_was_asked_for_is_cut(make: Make, sfg: SfgFolder) -> None:
    step = run_propose(sfg, make(), count=2)
    assert {len(item.record["sentences"]) for item in step.items} == {2}


def test_a_finished_step_asks_nothing_and_writes_nothing(
    make: Make, server: FakeChatServer, sfg: SfgFolder
) -> None:
    first = run_propose(sfg, make())
    before = sfg.work.candidates.stat()
    assert run_propose(sfg, make()) == first
    assert sfg.work.candidates.stat().st_mtime_ns == before.st_mtime_ns
    assert len(server.asked) == 3
    # Other settings are another step.
    run_propose(sfg, make(temperature=0.9))
    assert len(server.asked) == 6


def test_a_crash_costs_only_what_was_open(
    make: Make, server: FakeChatServer, sfg: SfgFolder
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_propose(sfg, make(concurrency=1), progress=stop_after(1))
    assert not sfg.work.candidates.exists()
    step = run_propose(sfg, make())
    assert len(server.asked) == 3
    assert len(step.items) == 3
    assert sorted(p.name for p in sfg.work.folder.iterdir()) == ["answers.jsonl", "candidates.json"]


def test_a_crash_while_writing_keeps_what_was_there(
    make: Make, sfg: SfgFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_propose(sfg, make())
    before = sfg.work.candidates.read_bytes()

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        run_propose(sfg, make(), count=2)
    assert sfg.work.candidates.read_bytes() == before
    assert sorted(p.name for p in sfg.work.folder.iterdir()) == ["answers.jsonl", "candidates.json"]


def test_one_failure_does_not_stop_the_others_and_is_asked_again(
    make: Make, server: FakeChatServer, sfg: SfgFolder
) -> None:
    def reply(body: dict[str, Any], number: int) -> tuple[int, str]:
        is_refused = place_of(body) == "airport"
        return (200, completion("I'm sorry.")) if is_refused else writes(body, number)

    server.reply = reply
    step = run_propose(sfg, make(tries=2))
    assert [item.record["image"] for item in step.items] == ["a.png", "c.png"]
    [problem] = step.problems
    assert problem.image == "b.png"
    assert "no readable answer in 2 tries" in problem.reason
    server.reply = writes
    asked = len(server.asked)
    step = run_propose(sfg, make())
    assert (len(step.items), step.problems) == (3, ())
    assert len(server.asked) == asked + 1


def test_a_busy_and_broken_server(make: Make, server: FakeChatServer, sfg: SfgFolder) -> None:
    troubles = [(429, "{}"), (500, "oops"), (200, completion("x")[:30])]
    server.reply = lambda body, number: (
        troubles[number - 1] if number <= 3 else writes(body, number)
    )
    step = run_propose(sfg, make(attempts=4))
    assert (len(step.items), step.problems) == (3, ())


def test_pictures_that_are_broken_or_missing(
    make: Make, server: FakeChatServer, sfg: SfgFolder
) -> None:
    (sfg.images / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n but not really")
    (sfg.images / "b.png").unlink()
    step = run_propose(sfg, make())
    assert [item.record["image"] for item in step.items] == ["c.png"]
    reasons = {problem.image: problem.reason for problem in step.problems}
    assert "there is no such picture" in reasons["b.png"]
    assert set(reasons) == {"a.png", "b.png"}
    assert len(server.asked) == 1


def test_pictures_are_asked_about_side_by_side(
    make: Make, server: FakeChatServer, sfg: SfgFolder
) -> None:
    barrier = threading.Barrier(3, timeout=10)

    def reply(body: dict[str, Any], number: int) -> tuple[int, str]:
        barrier.wait()  # Passes only when three requests are here at once.
        return writes(body, number)

    server.reply = reply
    assert len(run_propose(sfg, make(concurrency=3)).items) == 3


def test_neither_picture_nor_key_is_written_down(
    make: Make,
    server: FakeChatServer,
    sfg: SfgFolder,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")

    def reply(body: dict[str, Any], number: int) -> tuple[int, str]:
        refused = body["messages"][0]["content"][0]["image_url"]["url"]
        said = {"error": {"message": f"bad key sk-very-secret with {refused}"}}
        return (401, json.dumps(said)) if number == 1 else writes(body, number)

    server.reply = reply
    run_propose(sfg, make(concurrency=1))
    written = sfg.work.candidates.read_text() + sfg.work.answers.read_text() + caplog.text
    assert "bad key *** with data:image/jpeg;base64,..." in written
    assert "very-secret" not in written
    assert "/9j/" not in written


def test_descriptions_that_cannot_be_used(sfg: SfgFolder) -> None:
    line = json.dumps({"image": "a.png", "description": "He waits."})
    sfg.descriptions.write_text(line + "\n" + line)
    with pytest.raises(SpeculativeError, match=r"line 2: a\.png is described before"):
        read_sources(sfg.images, sfg.descriptions)
    sfg.descriptions.write_text('{"image": "a.png"}')
    with pytest.raises(JsonFileError, match="line 1: 'description' must be a text"):
        read_sources(sfg.images, sfg.descriptions)
    sfg.descriptions.write_text('{"image": "../descriptions.jsonl", "description": "x"}')
    with pytest.raises(SpeculativeError, match="none of the pictures"):
        read_sources(sfg.images, sfg.descriptions)
    with pytest.raises(SpeculativeError, match="--limit must be 1 or more"):
        read_sources(sfg.images, sfg.descriptions, 0)
    sfg.descriptions.write_text('{"image": "a.png", "description": ["He waits.", " It  rains."]}')
    [face] = read_sources(sfg.images, sfg.descriptions).faces
    assert face.description == "He waits. It rains."


def test_rules_select_without_any_model(make: Make, server: FakeChatServer, sfg: SfgFolder) -> None:
    run_propose(sfg, make())
    asked = len(server.asked)
    step = select(sfg.work, RULES)
    assert len(server.asked) == asked
    chosen = [Selected.from_record(item) for item in step.items]
    assert [c.sentences for c in chosen] == [tuple(good_sentences(p)) for p in PLACES.values()]
    assert all(c.favourite == "" for c in chosen)
    assert chosen[0].rejected[0][1] == ("names what the face does: 'grinning'",)
    assert objection_counts(step) == {"names what the face does": 3}


def test_the_model_has_a_favourite(make: Make, server: FakeChatServer, sfg: SfgFolder) -> None:
    run_propose(sfg, make())
    step = select(sfg.work, RULES, Ranking(make(temperature=0.0), sfg.images))
    favourites = [Selected.from_record(item).favourite for item in step.items]
    assert favourites == [good_sentences(place)[1] for place in PLACES.values()]
    assert server.asked[-1]["temperature"] == 0


def test_the_order_that_is_shown_depends_on_picture_and_seed(
    make: Make, server: FakeChatServer
) -> None:
    """Or a model's liking for a place would add up."""
    server.reply = lambda body, number: (200, completion("1"))
    sentences = (*good_sentences("harbour"), *good_sentences("airport"))
    interviewer = make()

    def first(image: str, seed: int) -> str:
        face = DescribedFace(image, "0", "He stands at the harbour.")
        return Ranking(interviewer, None, seed).choose(Selected(face, sentences))

    assert len({first("a.png", seed) for seed in range(6)}) > 1
    assert len({first(f"{number}.png", 0) for number in range(6)}) > 1
    assert first("a.png", 3) == first("a.png", 3)


def test_a_selection_goes_on_after_a_crash(
    make: Make, server: FakeChatServer, sfg: SfgFolder
) -> None:
    run_propose(sfg, make())
    with pytest.raises(KeyboardInterrupt):
        select(sfg.work, RULES, Ranking(make(concurrency=1), sfg.images), stop_after(1))
    assert not sfg.work.selection.exists()
    step = select(sfg.work, RULES, Ranking(make(), sfg.images))
    assert len(server.asked) == 3 + 3
    assert select(sfg.work, RULES, Ranking(make(), sfg.images)) == step
    assert len(server.asked) == 3 + 3


def test_a_model_without_an_opinion(make: Make, server: FakeChatServer, sfg: SfgFolder) -> None:
    run_propose(sfg, make())

    def reply(body: dict[str, Any], number: int) -> tuple[int, str]:
        return 200, completion("I like them all.")

    server.reply = reply
    step = select(sfg.work, RULES, Ranking(make(tries=1), sfg.images))
    assert len(step.items) == 3
    assert {p.reason.partition(":")[0] for p in step.problems} == {"no favourite"}
    server.reply = writes
    assert select(sfg.work, RULES, Ranking(make(tries=1), sfg.images)).problems == ()


def test_a_face_without_any_sentence_left_is_a_problem(make: Make, sfg: SfgFolder) -> None:
    run_propose(sfg, make())
    step = select(sfg.work, SelectionRules(fewest_words=30))
    assert [p.reason for p in step.problems] == ["no sentence passed the rules"] * 3


def test_the_step_before_must_be_there_and_whole(make: Make, sfg: SfgFolder) -> None:
    with pytest.raises(SpeculativeError, match=r"first run: facegpt benchmark build-sfg propose"):
        select(sfg.work, RULES)
    run_propose(sfg, make())
    whole = sfg.work.candidates.read_bytes()
    sfg.work.candidates.write_bytes(whole[:-40])
    with pytest.raises(SpeculativeError, match=r"not JSON .* make it again with: .* propose"):
        select(sfg.work, RULES)
    sfg.work.candidates.write_text('{"format": "facegpt.sfg.candidates/9"}')
    with pytest.raises(SpeculativeError, match="expected the format"):
        select(sfg.work, RULES)
    # The step itself simply writes a damaged file anew, byte for byte.
    run_propose(sfg, make())
    assert sfg.work.candidates.read_bytes() == whole
