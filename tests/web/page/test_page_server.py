"""The page over HTTP: what it loads, which of Gradio's routes there are, who may see it."""

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from facegpt.web.page.static_files import static_files

TOKEN = "a" * 24
CROSS = {"origin": "https://evil.example"}


@pytest.fixture
def page(make_served: Callable[..., Any], tmp_path: Path) -> Any:
    return make_served(page=True)


@pytest.fixture
def uploads(tmp_path: Path, page: Any) -> Path:
    return tmp_path / "served" / "uploads"


def upload(client: Any, name: str, content: bytes = b"photo", **headers: str) -> Any:
    return client.post(
        "/gradio_api/upload", files={"files": (name, io.BytesIO(content))}, headers=headers
    )


def test_the_page_asks_nobody_but_its_server(page: Any) -> None:
    answer = page.client.get("/")
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    sources = {source for part in policy.split(";") for source in part.split()[1:]}
    assert sources <= {"'self'", "'none'", "'unsafe-inline'", "'unsafe-eval'", "data:", "blob:"}
    assert "frame-ancestors 'none'" in policy
    loaded = re.findall(r"""(?:src|href)=["'](https?:[^"']+)""", answer.text)
    assert loaded == []
    assert "fonts.googleapis" not in answer.text
    assert (
        page.client.get("/v1/models")
        .headers["content-security-policy"]
        .startswith("default-src 'none'")
    )


def test_scripts_and_styles_come_whole_and_find_each_other(page: Any) -> None:
    files = static_files()
    assert {"head.js", "page.js", "page.css", "about.css"} <= set(files)
    for name, content in files.items():
        answer = page.client.get(f"/page/{name}")
        assert answer.content == content
        assert answer.headers["content-type"].startswith(("text/javascript", "text/css"))
        folder = Path("/page") / Path(name).parent
        imports = re.findall(rb"""(?m)^(?:[^/*\n]*)\bfrom *["']([^"' ]+)["'];""", content)
        for way in imports:
            target = Path("/page") / (folder / way.decode()).resolve().relative_to("/page")
            assert page.client.get(str(target)).status_code == 200, (name, way)
    for name in ("nothing.js", "../settings.py", "%2e%2e/settings.py", "icon.svg/.."):
        assert page.client.get(f"/page/{name}").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=../../etc/passwd",
        "/gradio_api/proxy=https://evil.example/x",
        "/gradio_api/vibe-edit/",
        "/gradio_api/component_server",
        "/gradio_api/app_id",
        "/gradio_api/dev/reload",
        "/gradio_api/stream/x",
        "/gradio_api/call/x",
        "/gradio_api/deep_link",
        "/gradio_api/process_recording",
        "/monitoring",
        "/login",
        "/docs",
        "/svelte/x.js",
        "/custom_component/1/server/x",
    ],
)
def test_routes_of_gradio_that_the_page_does_not_use_are_not_there(page: Any, path: str) -> None:
    for method in ("get", "post"):
        answer = getattr(page.client, method)(path)
        assert answer.status_code == 404, answer.text
        assert answer.json()["error"]["message"] == "there is no such page"


def test_an_upload_lands_in_the_data_folder_and_nowhere_else(
    page: Any, uploads: Path, tmp_path: Path
) -> None:
    for name in ("photo.png", "../../../evil.png", "/etc/evil", "a\\b.png", "..", "x" * 300):
        answer = upload(page.client, name)
        assert answer.status_code in (200, 400, 422), (name, answer.text)
        if answer.status_code == 200:
            for path in answer.json():
                assert uploads.resolve() in Path(path).resolve().parents
    left = [
        path for path in tmp_path.rglob("*") if path.is_file() and path.read_bytes() == b"photo"
    ]
    assert left
    assert all(uploads in path.parents for path in left)
    assert not any(path.name == "evil" or path.name == "evil.png" for path in tmp_path.iterdir())
    [path] = upload(page.client, "photo.png").json()
    assert page.client.get(f"/gradio_api/file={path}").content == b"photo"


def test_an_upload_may_not_be_too_large(make_served: Callable[..., Any]) -> None:
    served = make_served(page=True, most_upload_mb=0.01)
    assert upload(served.client, "photo.png", b"x" * 20_000).status_code == 413
    assert upload(served.client, "photo.png", b"x" * 2_000).status_code == 200


def test_what_an_earlier_server_left_is_gone(
    tmp_path: Path, make_served: Callable[..., Any]
) -> None:
    left = tmp_path / "served" / "uploads" / "left.png"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"photo")
    make_served(page=True)
    assert not left.exists()


def test_other_sites_reach_neither_page_nor_upload(page: Any) -> None:
    assert upload(page.client, "photo.png", **CROSS).status_code == 403
    assert page.client.post("/gradio_api/queue/join", headers=CROSS).status_code == 403
    assert page.client.get("/", headers={"host": "evil.example"}).status_code == 421
    followed = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert page.client.get("/", headers=followed).status_code == 200
    assert page.client.get("/about", headers=followed).status_code == 200
    assert page.client.get("/v1/models", headers=followed).status_code == 403
    embedded = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    assert page.client.get("/", headers=embedded).status_code == 403


def test_the_link_with_the_token_opens_the_page(make_served: Callable[..., Any]) -> None:
    client = make_served(page=True, token=TOKEN, host="0.0.0.0").client
    for path in ("/", "/about", "/page/head.js", "/config", "/gradio_api/info", "/?token=wrong"):
        assert client.get(path).status_code == 401, path
    opened = client.get(f"/?token={TOKEN}", follow_redirects=False)
    assert (opened.status_code, opened.headers["location"]) == (303, "/")
    cookie = opened.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    # The client keeps the cookie, as a browser does.
    for path in ("/", "/about", "/page/head.js", "/v1/models"):
        assert client.get(path).status_code == 200, path
    client.cookies.clear()
    client.cookies.set("facegpt_token", "x")
    assert client.get(f"/v1/models?token={TOKEN}").status_code == 401


def test_loading_the_page_does_not_use_up_the_requests(make_served: Callable[..., Any]) -> None:
    client = make_served(page=True, requests_per_minute=5).client
    for _ in range(20):
        assert client.get("/page/head.js").status_code == 200
    answers = [client.get("/v1/models").status_code for _ in range(7)]
    assert answers.count(429) == 2


def test_without_the_page_there_is_none(make_served: Callable[..., Any]) -> None:
    client = make_served(page=False).client
    for path in ("/", "/about", "/page/head.js", "/gradio_api/info"):
        assert client.get(path).status_code == 404
    assert client.get("/v1/models").status_code == 200


def test_damaged_messages_break_nothing(page: Any) -> None:
    bodies: list[Any] = [None, [], {}, {"fn_index": 10**9, "data": [], "session_hash": "x"}]
    bodies += [{"fn_index": 0, "data": "x"}, {"data": [{"text": None, "files": ["/etc/passwd"]}]}]
    for body in bodies:
        answer = page.client.post("/gradio_api/queue/join", json=body)
        assert answer.status_code < 500, (body, answer.text)
    assert page.client.get("/").status_code == 200
