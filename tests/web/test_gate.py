"""Who is answered: tokens, names, origins, sizes and rates."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from facegpt.listening import SECURITY_HEADERS, ServingRefusedError
from facegpt.web.gate import Gate, GateSettings, RateLimit, int_of
from facegpt.web.settings import ServeSettings

TOKEN = "a-token-that-is-long-enough"


async def echo(scope: Any, receive: Any, send: Any) -> None:
    body = await Request(scope, receive).body()
    await PlainTextResponse(f"{scope['path']} {len(body)}")(scope, receive, send)


def asked(base: str = "http://127.0.0.1", **settings: Any) -> TestClient:
    return TestClient(Gate(echo, GateSettings(**settings)), base_url=base)


def test_without_a_token_only_this_machine_is_answered_under_its_names() -> None:
    for base in ("http://127.0.0.1", "http://localhost:8000", "http://[::1]:80"):
        assert asked(base).get("/x").text == "/x 0"
    for base in ("http://face.example", "http://127.0.0.1.example", "http://10.0.0.1"):
        answer = asked(base).get("/x")
        assert answer.status_code == 421
        assert "127.0.0.1" in answer.json()["error"]["message"]


def test_the_token_opens_every_name_and_nothing_else_does() -> None:
    client = asked("http://face.example", token=TOKEN)
    assert client.get("/x", headers={"Authorization": f"Bearer {TOKEN}"}).text == "/x 0"
    wrong = ["", "Bearer", "Bearer ", f"Basic {TOKEN}", f"Bearer {TOKEN}x", TOKEN, "Bearer é"]
    for given in wrong:
        headers = {"Authorization": given.encode()} if given else {}
        answer = client.get("/x", headers=headers)
        assert answer.status_code == 401, given
        assert answer.headers["www-authenticate"] == "Bearer"
    assert client.get(f"/x?token={TOKEN}").status_code == 401
    assert client.get("/healthz").status_code == 200


def test_pages_of_other_sites_are_refused() -> None:
    client = asked("http://127.0.0.1:8000")
    own = {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"}
    assert client.post("/x", headers=own).status_code == 200
    for origin in ("http://evil.example", "null", "http://127.0.0.1:9000", "http://[bad"):
        answer = client.post("/x", headers={"Origin": origin})
        assert answer.status_code == 403, origin
        assert "access-control-allow-origin" not in answer.headers
    assert client.get("/x", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert client.get("/x", headers={"Sec-Fetch-Site": "none"}).status_code == 200


def test_what_is_too_large_is_not_read() -> None:
    client = asked(most_body_bytes=100)
    assert client.post("/x", content=b"a" * 100).text == "/x 100"
    assert client.post("/x", content=b"a" * 101).status_code == 413
    # Without a length, and with a false one.
    assert client.post("/x", content=iter([b"a" * 60] * 2)).status_code == 413
    lying = {"Content-Length": "5"}
    assert client.post("/x", content=b"a" * 101, headers=lying).status_code in (400, 413)


@pytest.mark.parametrize(
    ("text", "number"),
    [(None, 0), ("", 0), ("12", 12), ("-1", 0), ("1e9", 0), ("²", 0), ("9" * 5000, 10**18 - 1)],
)
def test_lengths_in_headers(text: str | None, number: int) -> None:
    assert int_of(text) == number


def test_every_answer_has_the_headers() -> None:
    for answer in (asked().get("/x"), asked("http://no.example").get("/x")):
        for name, value in SECURITY_HEADERS.items():
            assert answer.headers[name] == value


def test_who_asks_too_often_waits() -> None:
    client = asked(requests_per_minute=3)
    assert [client.get("/x").status_code for _ in range(5)] == [200, 200, 200, 429, 429]
    answer = client.get("/x")
    assert 1 <= int(answer.headers["retry-after"]) <= 21


def test_the_rate_recovers_and_callers_do_not_share() -> None:
    now = [0.0]
    rate = RateLimit(60, lambda: now[0])
    assert [rate.seconds_to_wait("a") for _ in range(60)] == [0.0] * 60
    assert rate.seconds_to_wait("a") == pytest.approx(1.0)
    assert rate.seconds_to_wait("b") == 0.0
    now[0] = 2.5
    assert [rate.seconds_to_wait("a") for _ in range(2)] == [0.0, 0.0]
    assert rate.seconds_to_wait("a") == pytest.approx(0.5)
    for n in range(20_000):
        rate.seconds_to_wait(str(n))
    assert len(rate._left) == 10_000


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        ({"host": "0.0.0.0"}, "needs a token; give --token or FACEGPT_TOKEN"),
        ({"host": "face.example"}, "needs a token"),
        ({"token": "short"}, "16 to 128"),
        ({"port": 70_000}, "--port"),
        ({"keep_hours": 0.0}, "--keep-hours must be above 0"),
        ({"most_waiting": -1}, "--most-waiting"),
    ],
)
def test_settings_that_are_refused(settings: dict[str, Any], advice: str) -> None:
    with pytest.raises(ServingRefusedError, match=advice):
        ServeSettings(**settings)


def test_the_token_may_stand_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEGPT_TOKEN", TOKEN)
    assert ServeSettings(host="0.0.0.0").token == TOKEN
    assert ServeSettings(token=TOKEN[::-1]).token == TOKEN[::-1]
    monkeypatch.setenv("FACEGPT_TOKEN", "")
    assert ServeSettings().token is None
    monkeypatch.setenv("FACEGPT_TOKEN", "short")
    with pytest.raises(ServingRefusedError, match="FACEGPT_TOKEN must have 16"):
        ServeSettings()


def test_settings_that_are_fine() -> None:
    assert ServeSettings(host="0.0.0.0", token=TOKEN).token == TOKEN
    assert ServeSettings(host="::1").token is None
    assert ServeSettings().folder.name == "served"
