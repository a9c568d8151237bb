"""`hf://` addresses, through the client of the hub and a small server that answers like it."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import fsspec
import pytest
from many_faces import write_faces

from facegpt.data import addresses
from facegpt.data.shards import DatasetMissingError
from facegpt.data.table import FaceTable


class Hub:
    """One repository of data, `me/faces`; `me/secret` is nobody's to read."""

    def __init__(self, root: Path) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if "/me/secret" in self.path:
                    self.send(401, b"{}", "GatedRepo")
                elif "/tree/main" in self.path:
                    asked = self.path.partition("/tree/main")[2].partition("?")[0]
                    folder = root / asked.lstrip("/")
                    files = sorted(folder.iterdir()) if folder.is_dir() else []
                    if files:
                        self.send(200, json.dumps(list(map(self.entry, files))).encode())
                    else:
                        self.send(404, b'{"error": "not here"}', "EntryNotFound")
                elif self.path.startswith("/api/datasets/me/faces"):
                    self.send(200, json.dumps({"id": "me/faces", "sha": "0" * 40}).encode())
                else:
                    file = root / self.path.partition("/resolve/main/")[2]
                    self.send(200, file.read_bytes()) if file.is_file() else self.send(404, b"")

            def do_POST(self) -> None:
                asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
                paths = json.loads(asked)["paths"] if asked[0] == "{" else parse_qs(asked)["paths"]
                found = [self.entry(root / p) for p in paths if (root / p).is_file()]
                self.send(200, json.dumps(found).encode())

            def entry(self, file: Path) -> dict[str, object]:
                path = file.relative_to(root).as_posix()
                if file.is_dir():
                    return {"type": "directory", "path": path, "oid": "0" * 40}
                return {"type": "file", "path": path, "size": file.stat().st_size, "oid": "0" * 40}

            def send(self, status: int, data: bytes, problem: str = "") -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                if problem:
                    self.send_header("X-Error-Code", problem)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:
                """Tests are quiet."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))
        self.thread.start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    write_faces(tmp_path / "train", 2, 4)
    running = Hub(tmp_path)
    monkeypatch.setitem(fsspec.config.conf, "hf", {"endpoint": running.url, "token": False})
    monkeypatch.setattr(addresses, "_FIRST_WAIT_S", 1e-3)
    yield running
    running.close()


@pytest.mark.usefixtures("hub")
def test_a_data_set_on_the_hub_is_read_like_any_other(tmp_path: Path) -> None:
    here, there = FaceTable(tmp_path / "train"), FaceTable("hf://datasets/me/faces/train")
    assert len(there) == 8
    for index in (7, 0):
        assert there.row(index).to_record() == here.row(index).to_record()


@pytest.mark.usefixtures("hub")
def test_what_is_not_there_or_not_ours_is_named() -> None:
    with pytest.raises(DatasetMissingError, match="no data set at hf://datasets/me/faces/val"):
        FaceTable("hf://datasets/me/faces/val")
    with pytest.raises(DatasetMissingError, match="or it is private: set HF_TOKEN"):
        FaceTable("hf://datasets/me/secret/train")
