"""How the server is run. Loads no library, so that the command line can show it at once."""

import os
from dataclasses import dataclass
from pathlib import Path

from facegpt.assets import data_directory
from facegpt.listening import ServingRefusedError, check_openness
from facegpt.model.number_types import Dtype, Quantise

TOKEN_VARIABLE = "FACEGPT_TOKEN"
"""The environment variable that is read for the token."""


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
    """Secret that callers must send, 16 to 128 letters, digits, - or _. Without it that of the
    environment variable FACEGPT_TOKEN, which lists of processes do not show."""
    data: Path | None = None
    """Folder of the faces; `served` in the user's data folder without it."""
    keep_hours: float = 24.0
    """How long a face can be fetched; then it is deleted."""
    page: bool = True
    """Show the page for people under /; without it only programs are answered."""
    device: str = "cpu"
    """Where the model computes."""
    dtype: Dtype = "float32"
    """Of its numbers; bfloat16 halves the memory."""
    quantise: Quantise = "none"
    """Hold the linear maps of the language model in 8 or 4 bits; needs bitsandbytes."""
    base: str | None = None
    """For weights that are an adapter: folder or name of the model they were trained on, if it is
    not where they say."""
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
        if self.token is None:
            # Not as the default of the field, which --help would print.
            object.__setattr__(self, "token", os.environ.get(TOKEN_VARIABLE) or None)
        told_by = f"--token or {TOKEN_VARIABLE}"
        check_openness(self.host, self.port, self.token, "opens the server", told_by)
        positive = ("keep_hours", "most_waiting", "most_at_once", "seconds", "most_upload_mb")
        for name in (*positive, "requests_per_minute"):
            if getattr(self, name) <= 0:
                flag = name.replace("_", "-")
                raise ServingRefusedError(f"--{flag} must be above 0, got {getattr(self, name)}")

    @property
    def folder(self) -> Path:
        """Where faces are kept."""
        return self.data or data_directory() / "served"
