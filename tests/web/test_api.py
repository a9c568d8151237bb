"""The interface for programs: what it answers, what it refuses, and what it keeps."""

import base64
import io
import json
import logging
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from facegpt.geometry.gltf import read_glb_chunks
from facegpt.reconstruction import FaceReconstruction
from facegpt.web.store import new_id
from tiny_facegpt import nobody

JSON = {"Content-Type": "application/json"}


def png_of(array: Any) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(array).save(sink, "PNG")
    return sink.getvalue()


def send_photo(served: Any, photo: bytes, kind: str = "image/png", **query: Any) -> Any:
    headers = {"Content-Type": kind}
    return served.client.post("/v1/faces", content=photo, headers=headers, params=query)


def as_large_as_a_house(record: dict[str, Any]) -> dict[str, Any]:
    camera = [0.0, 0.0, 0.0, 0.0, 0.0, 12.0]
    return record | {"parameters": record["parameters"] | {"camera": camera}}


def said(answer: Any) -> str:
    error = answer.json()["error"]
    assert error["code"] == answer.status_code
    return error["message"]


def test_a_photo_becomes_faces_with_files(served: Any, photo_png: bytes, tmp_path: Path) -> None:
    answer = send_photo(served, photo_png)
    assert answer.status_code == 200
    first, second = answer.json()["faces"]
    assert first["id"] != second["id"]
    assert FaceReconstruction.from_record(first["record"]).method == "nano"
    assert first["expires"] - first["made"] == pytest.approx(24 * 3600)
    files = {e: served.client.get(address) for e, address in first["files"].items()}
    assert {e: f.status_code for e, f in files.items()} == dict.fromkeys(files, 200)
    assert files["json"].json() == first["record"]
    (tmp_path / "head.glb").write_bytes(files["glb"].content)
    assert "facegpt.face/1" in json.dumps(read_glb_chunks(tmp_path / "head.glb")[0])
    assert files["ply"].content.startswith(b"ply")
    assert b"\nv " in files["obj"].content
    assert Image.open(io.BytesIO(files["png"].content)).size == (512, 512)
    assert "attachment" in files["glb"].headers["content-disposition"]
    assert files["glb"].headers["content-type"] == "model/gltf-binary"
    # What was shown is nowhere.
    kept = b"".join(p.read_bytes() for p in served.engine.store.folder.rglob("*") if p.is_file())
    assert photo_png[:200] not in kept


def test_a_photo_is_kept_only_if_asked_for(served: Any, photo_png: bytes) -> None:
    [face, _] = send_photo(served, photo_png, keep_photo=True, session="me").json()["faces"]
    assert served.engine.store.photo(face["id"]) == photo_png
    overlay = Image.open(io.BytesIO(served.client.get(face["files"]["png"]).content))
    assert overlay.size == Image.open(io.BytesIO(photo_png)).size
    assert served.client.delete("/v1/sessions/me").json() == {"deleted": 2}
    assert said(served.client.get(face["files"]["png"])) == "there is no such face, or no longer"
    assert not any((served.engine.store.folder / "files").iterdir())


def test_data_uris_are_photos_too(served: Any, photo_png: bytes) -> None:
    uri = "data:image/png;base64," + base64.b64encode(photo_png).decode()
    answer = served.client.post("/v1/faces", json={"image": uri})
    assert len(answer.json()["faces"]) == 2
    for wrong in ("http://127.0.0.1/x.png", "file:///etc/passwd", "/etc/passwd", ""):
        assert "addresses are never fetched" in said(
            served.client.post("/v1/faces", json={"image": wrong})
        )
    broken = served.client.post("/v1/faces", json={"image": "data:image/png;base64,@@@"})
    assert said(broken) == "the base64 of a picture is damaged"


def test_photos_without_a_face_and_without_a_photo(served: Any, photo_png: bytes) -> None:
    assert send_photo(served, png_of(nobody())).json() == {"faces": []}
    for damaged in (b"", b"no picture", photo_png[: len(photo_png) // 2], b"\x00" * 5000):
        assert send_photo(served, damaged).status_code == 422
    # The content counts, not what it is called.
    assert len(send_photo(served, photo_png, "image/jpeg").json()["faces"]) == 2
    assert send_photo(served, photo_png, "text/html").status_code == 415
    assert send_photo(served, b"<svg/>", "image/svg+xml").status_code == 422
    assert send_photo(served, photo_png, session="../up").status_code == 422


def test_words_become_faces(served: Any) -> None:
    [face] = served.client.post("/v1/imagine", json={"text": "an old man"}).json()["faces"]
    assert face["record"]["source"]["text"] == "an old man"
    asked = {"text": "an old man", "samples": 3, "seed": 4}
    three = [served.client.post("/v1/imagine", json=asked).json()["faces"] for _ in range(2)]
    shapes = [[f["record"]["parameters"]["shape"] for f in faces] for faces in three]
    assert shapes[0] == shapes[1]
    assert shapes[0][0] != shapes[0][1] != shapes[0][2]
    for wrong, word in (
        ({"text": ""}, "text"),
        ({"text": "   "}, "empty"),
        ({"text": "x" * 2001}, "text"),
        ({"text": "x", "samples": 9}, "samples"),
        ({"text": "x", "color": 1}, "color"),
        ({}, "text"),
        ([], "body"),
    ):
        answer = served.client.post("/v1/imagine", json=wrong)
        assert answer.status_code == 422
        assert word in said(answer)
    answer = served.client.post("/v1/imagine", content=b"{", headers=JSON)
    assert (answer.status_code, said(answer)) == (400, "the body is no JSON")


def test_faces_are_rendered_as_they_are_wanted(served: Any) -> None:
    [face] = served.client.post("/v1/imagine", json={"text": "an old man"}).json()["faces"]

    def rendered(**asked: Any) -> Any:
        return served.client.post("/v1/render", json=asked)

    front, side = (rendered(id=face["id"], yaw=yaw, size=64) for yaw in (0, 60))
    assert front.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(front.content)).size == (64, 64)
    assert front.content != side.content
    assert rendered(record=face["record"], yaw=0, size=64).content == front.content
    refused = {
        "name one face": {},
        "no such face": {"id": new_id()},
        "light is fitted or one of": {"id": face["id"], "light": "disco"},
        "no blendshape": {"id": face["id"], "arkit": {"noSuch": 0.5}},
        "arkit.jawOpen": {"id": face["id"], "arkit": {"jawOpen": 2}},
        "size": {"id": face["id"], "size": 100_000},
        "schema": {"record": {}},
        "cannot be drawn": {"record": as_large_as_a_house(face["record"]), "size": 64},
    }
    for words, asked in refused.items():
        answer = rendered(**asked)
        assert answer.status_code in (404, 422)
        assert words in said(answer)


def test_what_is_unknown_is_not_found(served: Any) -> None:
    for path in (f"/v1/faces/{new_id()}.glb", f"/v1/faces/{new_id()}.json", "/v1/no", "/docs"):
        assert served.client.get(path).status_code == 404
    for path in ("/v1/faces/..%2f..%2fetc%2fpasswd.json", "/v1/faces/short.glb"):
        assert served.client.get(path).status_code in (404, 422)
    assert served.client.delete(f"/v1/faces/{new_id()}").status_code == 404
    assert served.client.delete("/v1/sessions/nobody").json() == {"deleted": 0}


def test_the_state_is_told_without_content(served: Any) -> None:
    served.client.post("/v1/imagine", json={"text": "a secret sentence"})
    assert served.client.get("/healthz").json() == {"status": "ok"}
    assert [m["id"] for m in served.client.get("/v1/models").json()["data"]] == ["nano"]
    text = served.client.get("/metrics").text
    assert 'facegpt_requests_total{route="/v1/imagine",status="200"} 1.0' in text
    assert 'facegpt_work_together_count{kind="wishes"} 1.0' in text
    assert "facegpt_faces_kept 1.0" in text
    assert "secret" not in text
    document = served.client.get("/openapi.json").json()
    assert document["info"]["title"] == "FaceGPT"
    assert set(document["paths"]["/v1/faces"]["post"]["requestBody"]["content"]) == {
        "application/json",
        "image/*",
        "application/octet-stream",
    }


def test_too_many_requests_are_told_when_to_come_again(
    make_served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = make_served(most_waiting=1, most_at_once=1)
    begun, may_end = threading.Event(), threading.Event()
    imagine = served.engine.facegpt.imagine

    def slow(*given: Any) -> Any:
        begun.set()
        assert may_end.wait(30)
        return imagine(*given)

    monkeypatch.setattr(served.engine.facegpt, "imagine", slow)
    answers: list[int] = []

    def ask() -> None:
        answers.append(served.client.post("/v1/imagine", json={"text": "a man"}).status_code)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    threads[0].start()
    assert begun.wait(30)
    threads[1].start()
    until = time.monotonic() + 30
    while not served.engine.model_queue.waiting and time.monotonic() < until:
        time.sleep(0.01)
    refused = served.client.post("/v1/imagine", json={"text": "a man"})
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1
    may_end.set()
    for thread in threads:
        thread.join(30)
    assert answers == [200, 200]


def test_what_takes_too_long_is_given_up(make_served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    served = make_served(seconds=0.2)
    may_end = threading.Event()
    monkeypatch.setattr(served.engine.facegpt, "imagine", lambda *given: may_end.wait(30))
    answer = served.client.post("/v1/imagine", json={"text": "a man"})
    assert answer.status_code == 504
    assert "0.2 s" in said(answer)
    may_end.set()


def test_an_error_of_ours_tells_and_logs_nothing_of_what_was_said(
    served: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks(texts: list[str], *given: Any) -> Any:
        raise ArithmeticError(f"cannot do {texts}")

    monkeypatch.setattr(served.engine.facegpt, "imagine", breaks)
    with caplog.at_level(logging.INFO):
        answer = served.client.post("/v1/imagine", json={"text": "my secret"})
    assert answer.status_code == 500
    assert "secret" not in answer.text
    [line] = [r.getMessage() for r in caplog.records if r.name.startswith("facegpt")]
    assert line.startswith("a request failed with ArithmeticError in ")
    assert "secret" not in caplog.text
    monkeypatch.undo()
    assert served.client.post("/v1/imagine", json={"text": "my secret"}).status_code == 200


def test_the_token_is_wanted_everywhere(make_served: Any) -> None:
    token = "a-token-that-is-long-enough"
    served = make_served(token=token)
    assert served.client.get("/v1/models").status_code == 401
    assert served.client.get("/openapi.json").status_code == 401
    headers = {"Authorization": f"Bearer {token}"}
    assert served.client.get("/v1/models", headers=headers).status_code == 200


def test_records_survive_json(served: Any) -> None:
    [face] = served.client.post("/v1/imagine", json={"text": "an old man"}).json()["faces"]
    assert json.loads(json.dumps(face["record"])) == face["record"]
    again = FaceReconstruction.from_record(face["record"])
    assert again.to_record() == face["record"]
