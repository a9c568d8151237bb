"""A small server that speaks as much S3 as reading needs, and misbehaves on demand."""

import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

KEY = "the-key"


class S3Server:
    """The folders below `root` are buckets; only who signs with `KEY` may read."""

    def __init__(self, root: Path) -> None:
        self.read: list[str] = []
        """Objects that were asked for, in order; without questions for their size."""
        self.trouble: Callable[[str, int], bool] = lambda path, number: False
        """Whether the connection breaks, by object and number of the request, from 1."""
        self.requests = 0
        lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                self.answer(with_body=False)

            def do_GET(self) -> None:
                self.answer(with_body=True)

            def answer(self, *, with_body: bool) -> None:
                path = self.path.split("?")[0]
                with lock:
                    outer.requests += 1
                    number = outer.requests
                    if with_body:
                        outer.read.append(path)
                if outer.trouble(path, number):
                    self.close_connection = True
                    return
                file = root / path.lstrip("/")
                if f"Credential={KEY}/" not in self.headers.get("Authorization", ""):
                    self.send(403, b"<Error><Code>AccessDenied</Code></Error>", with_body)
                elif not file.is_file():
                    self.send(404, b"<Error><Code>NoSuchKey</Code></Error>", with_body)
                else:
                    self.send(200, file.read_bytes(), with_body)

            def send(self, status: int, data: bytes, with_body: bool) -> None:
                asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
                if status == 200 and asked:
                    first, last = int(asked[1]), min(int(asked[2]), len(data) - 1)
                    status, whole = 206, len(data)
                    data = data[first : last + 1]
                self.send_response(status)
                if status == 206:
                    self.send_header("Content-Range", f"bytes {first}-{last}/{whole}")
                self.send_header("Content-Length", str(len(data)))
                self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
                self.send_header("Content-Type", "application/xml" if status > 299 else "data")
                self.end_headers()
                if with_body:
                    self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:
                """Tests are quiet."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))
        self.thread.start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()
