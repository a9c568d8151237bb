"""A small server that speaks the OpenAI chat API and misbehaves on demand."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = Callable[[dict[str, Any], int], tuple[int, str]]
"""From the request and its number, counted from 1, to status and body."""


def completion(text: str | None, **message: Any) -> str:
    """The body of a chat completion."""
    choice = {
        "index": 0,
        "finish_reason": "stop",
        "message": {"role": "assistant", "content": text} | message,
    }
    return json.dumps(
        {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
    )


def question_of(body: dict[str, Any]) -> str:
    """What the first turn of the user says, without its picture."""
    [first, *_] = [m["content"] for m in body["messages"] if m["role"] == "user"]
    return first if isinstance(first, str) else first[-1]["text"]


class _Patient(ThreadingHTTPServer):
    """Takes hundreds of connections at once, and waits for none of those who have gone."""

    request_queue_size = 1024
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tests are quiet: a client that gave up is no error here."""


class FakeChatServer:
    """Answers as `reply` says and remembers what was asked."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.at_once = self.most_at_once = 0
        self.answer_headers: dict[str, str] = {}
        """Sent along with every answer."""
        lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    outer.asked.append(body)
                    outer.headers.append({k.lower(): v for k, v in self.headers.items()})
                    outer.paths.append(self.path)
                    number = len(outer.asked)
                    outer.at_once += 1
                    outer.most_at_once = max(outer.most_at_once, outer.at_once)
                try:
                    status, text = outer.reply(body, number)
                finally:
                    with lock:
                        outer.at_once -= 1
                data = text.encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                for name, value in outer.answer_headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                """Tests are quiet."""

        self.http = _Patient(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))
        self.thread.start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()
