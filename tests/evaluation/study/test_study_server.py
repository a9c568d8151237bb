"""The server shows a study to who may see it, and believes nothing that a browser sends."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from facegpt.evaluation.study.answers import Answers, create_answers
from facegpt.evaluation.study.errors import (
    StudyFullError,
    StudyMissingError,
)
from facegpt.evaluation.study.plan import Study
from facegpt.evaluation.study.server import MAX_BODY_BYTES, create_app, load_images
from facegpt.evaluation.study.serving import ServeSettings, serve_study
from facegpt.listening import ServingRefusedError

HERE = "http://127.0.0.1:8000"
TOKEN = "a-secret-of-24-letters_x"
NOBODY = "0" * 32


@pytest.fixture
def answers(built: tuple[Study, Path]) -> Answers:
    return create_answers(built[1] / "answers.sqlite3", built[0].id)


@pytest.fixture
def client(built: tuple[Study, Path], answers: Answers) -> Iterator[TestClient]:
    study, folder = built
    with TestClient(
        create_app(study, load_images(folder, study), answers), base_url=HERE
    ) as client:
        yield client


@pytest.fixture
def guarded(built: tuple[Study, Path], answers: Answers) -> Iterator[TestClient]:
    study, folder = built
    app = create_app(study, load_images(folder, study), answers, TOKEN)
    with TestClient(app, base_url="http://faces.example.org", follow_redirects=False) as client:
        yield client


def join(client: TestClient) -> dict:
    """Take part and get the questions."""
    assert client.post("/api/participants", json={}).status_code == 204
    return client.get("/api/study").json()


def test_the_page_loads_nothing_from_elsewhere(client: TestClient) -> None:
    for path, kind in (
        ("/", "text/html; charset=utf-8"),
        ("/page.css", "text/css; charset=utf-8"),
        ("/page.js", "text/javascript; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
    ):
        answer = client.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
        links = answer.text.replace('xmlns="http://www.w3.org/2000/svg"', "")
        assert "http://" not in links
        assert "https://" not in links
        assert "//" not in links.replace("// ", "")
    page = client.get("/").text
    assert "<script>" not in page
    assert "style=" not in page
    assert "onclick" not in page


@pytest.mark.parametrize("path", ["/", "/page.js", "/api/study", "/images/x", "/nowhere"])
def test_every_answer_has_the_headers(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"


def test_pictures_come_from_memory(client: TestClient, built: tuple[Study, Path]) -> None:
    study, folder = built
    for name in study.images:
        answer = client.get(f"/images/{name}")
        assert answer.content == (folder / "images" / name).read_bytes()
        assert answer.headers["content-type"] == "image/png"
        assert "private" in answer.headers["cache-control"]


@pytest.mark.parametrize(
    "path",
    [
        "/images/../key.json",
        "/images/..%2fkey.json",
        "/images/%2e%2e%2fkey.json",
        "/images/..%5ckey.json",
        "/images/%2fetc%2fpasswd",
        "/images/key.json",
        "/images/%00.png",
        "/../key.json",
        "/key.json",
        "/study.json",
        "/answers.sqlite3",
        "/page.html/../server.py",
        "/docs",
        "/openapi.json",
    ],
)
def test_no_path_reaches_the_disk(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_questions_are_for_participants(client: TestClient, built: tuple[Study, Path]) -> None:
    stranger = client.get("/api/study").json()
    assert stranger == {
        "title": "Which face fits best?",
        "task": "Read the description, then choose the face that fits it best.",
        "count": 3,
        "questions": [],
        "answers": {},
    }
    known = join(client)
    assert [q["id"] for q in known["questions"]] == [q.id for q in built[0].questions]
    assert [q["text"] for q in known["questions"]] == [q.text for q in built[0].questions]
    for shown, planned in zip(known["questions"], built[0].questions, strict=True):
        assert tuple(shown["alternatives"]) == planned.order_for(1)


def test_the_cookie_is_random_and_out_of_reach(client: TestClient) -> None:
    given = client.post("/api/participants", json={}).headers["set-cookie"]
    assert "HttpOnly" in given
    assert "SameSite=strict" in given
    first = next(iter(client.cookies.jar)).value
    client.cookies.clear()
    client.post("/api/participants", json={})
    assert next(iter(client.cookies.jar)).value != first


def test_who_comes_back_goes_on(client: TestClient, answers: Answers) -> None:
    questions = join(client)["questions"]
    choice = questions[0]["alternatives"][1]
    body = {"question": questions[0]["id"], "choice": choice}
    assert client.post("/api/answers", json=body).status_code == 204
    again = join(client)
    assert again["answers"] == {questions[0]["id"]: choice}
    assert again["questions"] == questions
    assert len(answers.by_participant()) == 1
    other = questions[0]["alternatives"][0]
    client.post("/api/answers", json={**body, "choice": other})
    assert client.get("/api/study").json()["answers"] == {questions[0]["id"]: other}


def test_each_participant_has_own_answers_and_another_order(client: TestClient) -> None:
    first = join(client)["questions"][0]
    client.post("/api/answers", json={"question": "q1", "choice": first["alternatives"][0]})
    client.cookies.clear()
    second = join(client)
    assert second["answers"] == {}
    rotated = first["alternatives"][1:] + first["alternatives"][:1]
    assert second["questions"][0]["alternatives"] == rotated


def test_unknown_ids_are_refused(
    client: TestClient, built: tuple[Study, Path], answers: Answers
) -> None:
    study = built[0]
    good = {"question": "q1", "choice": study.questions[0].alternatives[0]}
    assert client.post("/api/answers", json=good).status_code == 401
    for forged in (NOBODY, "x", "' OR 1=1 --", NOBODY + "0"):
        client.cookies.set(f"study_{study.id}_participant", forged)
        assert client.post("/api/answers", json=good).status_code == 401
        assert client.get("/api/study").json()["questions"] == []
    client.cookies.clear()
    join(client)
    foreign = study.questions[1].alternatives[0]
    for bad in (
        {"question": "q9", "choice": good["choice"]},
        {"question": "q1", "choice": foreign},
        {"question": "q1", "choice": "../key.json"},
    ):
        assert client.post("/api/answers", json=bad).status_code == 404
    assert list(answers.by_participant().values()) == [{}]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"question": "q1"}',
        b'{"question": 1, "choice": "x"}',
        b'{"question": "q1", "choice": "x", "participant": "y"}',
    ],
)
def test_what_is_no_choice_is_refused(client: TestClient, body: bytes) -> None:
    join(client)
    answer = client.post("/api/answers", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422


def test_large_bodies_are_not_read(client: TestClient) -> None:
    join(client)
    json_type = {"Content-Type": "application/json"}
    for path in ("/api/answers", "/api/participants"):
        large = b" " * (MAX_BODY_BYTES + 1)
        assert client.post(path, content=large, headers=json_type).status_code == 413
    # Without a length that could be looked at.
    pieces = iter([b" " * 64] * 100)
    assert client.post("/api/answers", content=pieces, headers=json_type).status_code == 413


def test_forms_of_other_sites_are_refused(client: TestClient, answers: Answers) -> None:
    for path in ("/api/participants", "/api/answers"):
        assert client.post(path, data={"question": "q1"}).status_code == 415
        assert client.post(path).status_code == 415
    assert answers.by_participant() == {}


@pytest.mark.parametrize("host", ["evil.example.org", "127.0.0.1.evil.org", "[::1", "", "10.0.0.1"])
def test_without_token_only_local_names_are_answered(client: TestClient, host: str) -> None:
    assert client.get("/api/study", headers={"Host": host}).status_code == 421
    for local in ("127.0.0.1:8000", "localhost", "[::1]:8000"):
        assert client.get("/api/study", headers={"Host": local}).status_code == 200


def test_the_token_opens_everything_and_nothing_else_does(guarded: TestClient) -> None:
    for path in ("/", "/page.js", "/api/study", "/images/x", "/?token=wrong", "/?token=%ff"):
        answer = guarded.get(path)
        assert answer.status_code == 401
        assert "content-security-policy" in answer.headers
    # Only the page takes it from the link.
    assert guarded.get(f"/api/study?token={TOKEN}").status_code == 401
    assert guarded.post("/api/participants", json={}).status_code == 401
    welcome = guarded.get(f"/?token={TOKEN}")
    assert (welcome.status_code, welcome.headers["location"]) == (303, "/")
    assert "HttpOnly" in welcome.headers["set-cookie"]
    assert guarded.get("/").status_code == 200
    assert len(join(guarded)["questions"]) == 3


def test_tokens_are_compared_in_constant_time(
    guarded: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(first: bytes, second: bytes) -> bool:
        compared.append((first, second))
        return first == second

    monkeypatch.setattr("facegpt.listening.secrets.compare_digest", compare)
    guarded.get("/?token=guess")
    assert compared == [(b"", TOKEN.encode()), (b"guess", TOKEN.encode())]


def test_no_more_participants_than_the_bound(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Answers) -> str:
        raise StudyFullError("2 people have joined; no more are taken")

    monkeypatch.setattr(Answers, "join", full)
    answer = client.post("/api/participants", json={})
    assert answer.status_code == 503
    assert answer.json() == {"detail": "2 people have joined; no more are taken"}


def test_a_broken_file_of_answers_tells_no_path(client: TestClient, answers: Answers) -> None:
    join(client)
    for path in answers.path.parent.glob("answers.sqlite3*"):
        path.unlink()
    answers.path.write_text("no data base. " * 100)
    answer = client.get("/api/study")
    assert answer.status_code == 500
    assert answer.json() == {"detail": "the answers cannot be stored now"}
    assert "content-security-policy" in answer.headers


def test_missing_pictures_are_found_at_the_start(built: tuple[Study, Path]) -> None:
    study, folder = built
    (folder / "images" / study.images[4]).unlink()
    with pytest.raises(StudyMissingError, match="copy the whole folder"):
        load_images(folder, study)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"host": "0.0.0.0"}, "needs a token; give --token, for example "),
        ({"host": "192.168.1.5"}, "needs a token"),
        ({"host": "::"}, "needs a token"),
        ({"host": "my-computer"}, "needs a token"),
        ({"host": "0.0.0.0", "token": "short"}, "--token must have 16 to 128"),
        ({"token": "with spaces in between"}, "--token must have"),
        ({"port": 65536}, "--port must be between 0 and 65535"),
    ],
)
def test_serving_to_others_needs_a_token(changes: dict, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(ServingRefusedError, match=complaint):
        replace(ServeSettings(tmp_path), **changes)


def test_other_addresses_are_fine_with_a_token(tmp_path: Path) -> None:
    for host in ("127.0.0.1", "127.0.0.2", "::1", "localhost"):
        assert ServeSettings(tmp_path, host=host).token is None
    assert ServeSettings(tmp_path, host="0.0.0.0", token=TOKEN).host == "0.0.0.0"


def test_a_taken_port_is_one_sentence_and_leaves_no_file(built: tuple[Study, Path]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServingRefusedError, match=f"cannot listen on 127.0.0.1, port {port}"):
            serve_study(ServeSettings(built[1], port=port), announce=print)
    assert not (built[1] / "answers.sqlite3").exists()


def test_a_study_loads_no_torch() -> None:
    code = (
        "import sys; from facegpt.evaluation.study import build, serving, tally; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
