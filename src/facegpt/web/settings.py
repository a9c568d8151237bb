"""How the server is run. Imports nothing, so that the command line can show it at once."""

import ipaddress
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from facegpt.assets import data_directory
from facegpt.web.errors import ServeRefusedError

_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,128}")
_TOKEN_BYTES = 24


@dataclass(frozen=True)
class ServeSettings:
    """Which model is served, to whom, and within which limits."""

    weights: str = "nano"
    """`nano` for the shipped one, or a folder with weights."""
    host: str = "127.0.0.1"
    """Address to listen on. Others than this machine's own need --token."""
    port: int = 8000
    """0 takes any free one."""
    token: str | None = None
    """Secret that callers must send, 16 to 128 letters, digits, - or _."""
    data: Path | None = None
    """Folder of the faces; `served` in the user's data folder without it."""
    keep_hours: float = 24.0
    """How long a face can be fetched; then it is deleted."""
    device: str = "cpu"
    """Where the model computes."""
    most_waiting: int = 64
    """Requests that may wait for the model; further ones get 429 and when to come again."""
    most_at_once: int = 8
    """Requests that the model answers in one go."""
    seconds: float = 60.0
    """How long a request may take, waiting included."""
    most_upload_mb: float = 16.0
    """Size of a request."""
    requests_per_minute: int = 600
    """Of one address, or of all who have the token."""

    def __post_init__(self) -> None:
        if not 0 <= self.port < 1 << 16:
            raise ServeRefusedError(f"--port must be between 0 and 65535, got {self.port}")
        if self.token is not None and not _TOKEN.fullmatch(self.token):
            raise ServeRefusedError(
                "--token must have 16 to 128 letters, digits, - or _, for example "
                f"{secrets.token_urlsafe(_TOKEN_BYTES)}"
            )
        if self.token is None and not is_this_machine(self.host):
            raise ServeRefusedError(
                f"--host {self.host} opens the server to the network, so it needs a token; add for "
                f"example --token {secrets.token_urlsafe(_TOKEN_BYTES)}"
            )
        positive = ("keep_hours", "most_waiting", "most_at_once", "seconds", "most_upload_mb")
        for name in (*positive, "requests_per_minute"):
            if getattr(self, name) <= 0:
                flag = name.replace("_", "-")
                raise ServeRefusedError(f"--{flag} must be above 0, got {getattr(self, name)}")

    @property
    def folder(self) -> Path:
        """Where faces are kept."""
        return self.data or data_directory() / "served"


def is_this_machine(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
