"""Running a study: from a folder to a listening socket.

Only this machine is answered unless somebody says otherwise, and then only with a token.
"""

import ipaddress
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from facegpt.evaluation.study.answers import create_answers
from facegpt.evaluation.study.errors import ServingRefusedError
from facegpt.evaluation.study.guard import is_strong_token
from facegpt.evaluation.study.plan import ANSWERS_FILE, read_study
from facegpt.evaluation.study.server import create_app, load_images

_MOST_CONNECTIONS = 500
_TOKEN_BYTES = 24


@dataclass(frozen=True)
class ServeSettings:
    """Which study is shown, and to whom."""

    study: Path
    """Its folder."""
    answers: Path | None = None
    """SQLite file; beside the study if None."""
    host: str = "127.0.0.1"
    port: int = 8000
    """0 takes any free one."""
    token: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.port < 1 << 16:
            raise ServingRefusedError(f"--port must be between 0 and 65535, got {self.port}")
        if self.token is not None and not is_strong_token(self.token):
            raise ServingRefusedError(
                "--token must have 16 to 128 letters, digits, - or _, for example "
                f"{secrets.token_urlsafe(_TOKEN_BYTES)}"
            )
        if self.token is None and not _is_this_machine(self.host):
            raise ServingRefusedError(
                f"--host {self.host} shows the study to the network, so it needs a token; add for "
                f"example --token {secrets.token_urlsafe(_TOKEN_BYTES)}"
            )

    @property
    def answers_file(self) -> Path:
        """Where the answers are kept."""
        return self.answers or self.study / ANSWERS_FILE


def serve_study(settings: ServeSettings, announce: Callable[[str], None]) -> None:
    """Show a study until interrupted.

    Args:
        announce: Gets the address once the study can be opened.

    Raises:
        StudyError: The study or its answers cannot be used.
        ServingRefusedError: The address is taken or not one of this machine.
    """
    study = read_study(settings.study)
    images = load_images(settings.study, study)
    with _listen(settings.host, settings.port) as listener:
        # After the port is ours: a command that fails shall leave no file.
        answers = create_answers(settings.answers_file, study.id)
        config = uvicorn.Config(
            create_app(study, images, answers, settings.token),
            log_level="warning",
            # It would show the token.
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=_MOST_CONNECTIONS,
            ws="none",
            lifespan="off",
        )
        announce(_address(settings, listener.getsockname()[1]))
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ServingRefusedError(
            f"cannot listen on {host}, port {port}: {error.strerror or error}; give another --port "
            "or --host"
        ) from error


def _address(settings: ServeSettings, port: int) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    query = f"?token={settings.token}" if settings.token else ""
    return f"http://{host}:{port}/{query}"
