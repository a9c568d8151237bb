"""Whatever is sent: no crash, no hang, no file outside the folder, answers as the document says."""

import io
import json
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from PIL import Image
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)
QUIET = settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


def well_behaved(answer: Any) -> None:
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert answer.json()["error"]["message"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisDeprecationWarning")
def test_the_document_is_true(listening: str) -> None:
    """Every route with right and wrong requests that schemathesis makes of the document."""
    schema = schemathesis.openapi.from_url(f"{listening}/openapi.json")
    modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    counts = {
        (operation.ok().label, mode.name): requests_of(operation.ok(), mode)
        for operation in schema.get_all_operations()
        for mode in modes
    }
    print(counts)
    assert sum(counts.values()) > 600


def requests_of(operation: Any, mode: GenerationMode) -> int:
    """How many were sent."""
    sent = 0

    @QUIET
    @given(case=operation.as_strategy(generation_mode=mode))
    def fuzz(case: Any) -> None:
        nonlocal sent
        case.validate_response(case.call(), checks=CHECKS)
        sent += 1

    with suppress(Unsatisfiable):  # of a route that takes nothing nothing can be wrong
        fuzz()
    return sent


@QUIET
@given(body=JSON_VALUES, path=st.sampled_from(["imagine", "render", "faces", "chat/completions"]))
def test_any_json(served: Any, body: Any, path: str) -> None:
    data = json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    well_behaved(served.client.post(f"/v1/{path}", content=data, headers=headers))


@QUIET
@given(data=st.binary(max_size=200), kind=st.sampled_from(["image/png", "application/json", ""]))
def test_any_bytes(served: Any, data: bytes, kind: str) -> None:
    for path in ("faces", "imagine", "chat/completions"):
        answer = served.client.post(f"/v1/{path}", content=data, headers={"Content-Type": kind})
        well_behaved(answer)


@QUIET
@given(where=st.floats(0, 1), what=st.binary(min_size=1, max_size=8), cut=st.floats(0.05, 1))
def test_damaged_photos(
    served: Any, photo_png: bytes, where: float, what: bytes, cut: float
) -> None:
    start = int(where * (len(photo_png) - 1))
    data = photo_png[:start] + what + photo_png[start + len(what) :]
    data = data[: int(cut * len(data))]
    headers = {"Content-Type": "image/png"}
    well_behaved(served.client.post("/v1/faces", content=data, headers=headers))


def test_a_bomb_is_not_unpacked(served: Any) -> None:
    sink = io.BytesIO()
    Image.fromarray(np.zeros((1, 1, 3), np.uint8)).resize((20_000, 20_000)).save(sink, "PNG")
    answer = served.client.post(
        "/v1/faces", content=sink.getvalue(), headers={"Content-Type": "image/png"}
    )
    assert answer.status_code == 422


@QUIET
@given(name=st.text(min_size=1, max_size=60))
def test_no_name_reaches_the_disk(served: Any, name: str) -> None:
    folder: Path = served.engine.store.folder
    before = sorted(p for p in folder.parent.rglob("*") if folder not in p.parents)
    name = quote(name, safe="")
    for path in (f"/v1/faces/{name}.glb", f"/v1/faces/{name}.json", f"/v1/sessions/{name}"):
        well_behaved(served.client.get(path))
        well_behaved(served.client.delete(path))
    assert sorted(p for p in folder.parent.rglob("*") if folder not in p.parents) == before
