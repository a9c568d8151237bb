"""examples/06_threejs_page.py: a folder that needs nothing else, and a head that moves in Chromium.

Any Chromium on the PATH will do, which pip cannot install; without one the browser is passed over.
"""

import functools
import http.server
import io
import json
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from chromium import chromium
from face_records import made_up_face
from facegpt.morphable.model import MorphableModel
from facegpt.rendering.results import save_reconstruction

OF_ITSELF = ("http://127.0.0.1:", "blob:", "data:")


@pytest.fixture
def folder(
    example: Callable[[str], ModuleType], tiny_face_model: MorphableModel, tmp_path: Path
) -> Path:
    """The page of a tiny face."""
    face = tmp_path / "face"
    save_reconstruction(made_up_face(), tiny_face_model, None, face, ("glb", "json"))
    example("06_threejs_page").main(tmp_path / "page", face)
    return tmp_path / "page"


def test_the_folder_has_all_that_the_page_loads(folder: Path) -> None:
    page = (folder / "index.html").read_text(encoding="utf-8")
    [imports] = re.findall(r'<script type="importmap">(.*?)</script>', page, re.DOTALL)
    for target in json.loads(imports)["imports"].values():
        assert (folder / target).exists()
    for name in ("index.html", "page.js", "page.css"):
        assert "://" not in (folder / name).read_text(encoding="utf-8")
    for name in ("head.glb", "face.json", "vendor/three/LICENSE"):
        assert (folder / name).is_file()


@pytest.fixture
def address(folder: Path) -> Iterator[str]:
    """What `python -m http.server` would answer at."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def page() -> Iterator[Any]:
    """An empty page; a complaint, or a request to anybody else, fails the test."""
    complaints: list[str] = []
    asked: list[str] = []
    with chromium() as browser:
        context = browser.new_context(reduced_motion="reduce")
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: said.type == "error" and complaints.append(said.text))
        page.on("request", lambda request: asked.append(request.url))
        yield page
    assert complaints == []
    assert [url for url in asked if not url.startswith(OF_ITSELF)] == []


def picture(page: Any) -> np.ndarray:
    """The canvas, once it has been drawn again."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    png = page.locator("#view").screenshot()
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=float)


@pytest.mark.slow
def test_the_head_is_shown_and_moves(page: Any, address: str) -> None:
    page.goto(address)
    page.get_by_text("Drag to turn").wait_for()
    assert page.locator("#weights input").count() == 52
    assert page.locator("#play").inner_text() == "Play"

    expression = picture(page)
    assert page.get_by_label("jawOpen").input_value() == "0.25"
    background = expression[5, 5]
    covered = (np.abs(expression - background).max(axis=2) > 12).mean()
    assert 0.05 < covered < 0.9

    page.locator("#blend").fill("0")
    neutral = picture(page)
    assert page.get_by_label("jawOpen").input_value() == "0"
    assert np.abs(neutral - expression).max() > 12

    page.get_by_label("jawOpen").fill("1")
    assert np.abs(picture(page) - neutral).max() > 12

    page.locator("#play").click()
    assert page.locator("#play").inner_text() == "Pause"
    page.wait_for_function("0.2 < blend.valueAsNumber && blend.valueAsNumber < 0.8")


@pytest.mark.slow
def test_a_missing_file_is_said_on_the_page(page: Any, address: str, folder: Path) -> None:
    page.route("**/head.glb", lambda route: route.fulfill(body="no GLB"))
    page.goto(address)
    page.get_by_text("The head cannot be shown").wait_for()
