"""/v1/edit and /v1/surface: faces changed by meaning over HTTP."""

from typing import Any

import numpy as np
import pytest

from facegpt.geometry.gltf import read_glb_chunks


@pytest.fixture
def face(served: Any) -> dict[str, Any]:
    [made] = served.client.post("/v1/imagine", json={"text": "a man"}).json()["faces"]
    return made


def surface(served: Any, face_id: str, **change: Any) -> np.ndarray:
    answer = served.client.post("/v1/surface", json={"id": face_id, **change})
    assert answer.status_code == 200, answer.text
    return np.frombuffer(answer.content, "<f4").reshape(3, -1, 3)


def position_of(served: Any, face_id: str, tmp_path: Any) -> np.ndarray:
    path = tmp_path / "head.glb"
    path.write_bytes(served.client.get(f"/v1/faces/{face_id}.glb").content)
    document, binary = read_glb_chunks(path)
    primitive = document["meshes"][0]["primitives"][0]
    accessor = document["accessors"][primitive["attributes"]["POSITION"]]
    view = document["bufferViews"][accessor["bufferView"]]
    start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
    values = np.frombuffer(binary, "<f4", accessor["count"] * 3, start)
    return values.reshape(-1, 3)


def test_a_changed_face_is_kept_and_says_so(served: Any, face: dict[str, Any]) -> None:
    asked = {"id": face["id"], "semantics": {"nose_width": 1.0}, "session": "mine"}
    [new] = served.client.post("/v1/edit", json=asked).json()["faces"]
    assert new["id"] != face["id"]
    assert new["record"]["source"]["changes"] == [{"semantics": {"nose_width": 1.0}, "arkit": {}}]
    assert served.client.get(new["files"]["glb"]).status_code == 200
    assert served.client.get(face["files"]["json"]).json() == face["record"]
    assert served.client.delete("/v1/sessions/mine").json() == {"deleted": 1}


def test_a_surface_lies_over_the_glb_corner_by_corner(
    served: Any, face: dict[str, Any], tmp_path: Any
) -> None:
    position, normal, colour = surface(served, face["id"])
    there = position_of(served, face["id"], tmp_path)
    assert position.shape == there.shape
    # What blendshapes cannot say of an expression is small.
    assert np.abs(position - there).max() < 0.01
    np.testing.assert_allclose(np.linalg.norm(normal, axis=1), 1, atol=1e-4)
    np.testing.assert_allclose(colour, 1)


def test_a_surface_is_that_of_the_kept_change(
    served: Any, face: dict[str, Any], tmp_path: Any
) -> None:
    change = {"semantics": {"nose_width": 2.0, "skin_lightness": -1.0}}
    shown, _, colour = surface(served, face["id"], **change)
    [new] = served.client.post("/v1/edit", json={"id": face["id"], **change}).json()["faces"]
    kept, _, _ = surface(served, new["id"])
    np.testing.assert_allclose(shown, kept, atol=2e-5)
    assert colour.mean() < 0.95
    # Blendshapes are set by whoever shows the head.
    with_jaw, _, _ = surface(served, face["id"], **change, arkit={"jawOpen": 1.0})
    np.testing.assert_array_equal(with_jaw, shown)


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"semantics": {"nose_widht": 1}}, 422, "did you mean"),
        ({"semantics": {"nose_width": 9}}, 422, "nose_width"),
        ({"arkit": {"jawOpe": 0.5}}, 422, "jawOpe"),
        ({"arkit": {"jawOpen": 2}}, 422, "jawOpen"),
        ({"what": 1}, 422, "what"),
        ({"id": "x" * 22}, 404, "no such face"),
        ({"id": "../../etc/passwd"}, 404, "no such face"),
        ({"semantics": {"nose_width": 4, "nose_size": -4, "nose_projection": 4}}, 422, "nose"),
    ],
)
def test_what_cannot_be_is_said(
    served: Any, face: dict[str, Any], change: dict[str, Any], status: int, said: str
) -> None:
    answer = served.client.post("/v1/edit", json={"id": face["id"], **change})
    assert answer.status_code == status, answer.text
    assert said in answer.json()["error"]["message"]
    assert len(served.engine.store) == 1


def test_a_changed_face_of_a_photo_keeps_its_skin(served: Any, photo_png: bytes) -> None:
    headers = {"content-type": "image/png"}
    for wanted in (True, False):
        found = served.client.post(
            f"/v1/faces?keep_photo={str(wanted).lower()}", content=photo_png, headers=headers
        ).json()["faces"]
        asked = {"id": found[0]["id"], "semantics": {"nose_width": 0.5}}
        [new] = served.client.post("/v1/edit", json=asked).json()["faces"]
        assert (served.engine.store.texture(new["id"]) is not None) == wanted
        # Changed again, the skin goes along.
        [again] = served.client.post("/v1/edit", json=asked | {"id": new["id"]}).json()["faces"]
        assert (served.engine.store.texture(again["id"]) is not None) == wanted
        served.client.delete(f"/v1/faces/{new['id']}")
        assert not (served.engine.store.folder / "files" / new["id"]).exists()
