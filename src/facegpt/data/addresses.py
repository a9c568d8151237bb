"""Data sets that lie elsewhere: `s3://`, `hf://`, `file://` and whatever else fsspec knows.

An address is read only because somebody named it: whole files, with a time limit, some attempts,
and a sentence for everything that can go wrong. S3 is read by pyarrow, which is there already;
keys come from the usual variables of the environment and are never shown. Knows no rows.
"""

import os
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable
from urllib.parse import urlsplit

from facegpt.data.schema import DatasetError

ATTEMPTS = 5
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 20.0
_TIMEOUT_S = 60.0

_NO_RIGHTS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_ENDPOINT_URL for a server of "
    "your own), or AWS_PROFILE",
    "hf": "set HF_TOKEN, or run: hf auth login",
}
_DENIED = re.compile(
    r"access[_ ]denied|forbidden|unauthorized|credential|\b40[13]\b", re.IGNORECASE
)
"""What the messages of S3 and of HTTP say to somebody without rights, or without keys."""


class UnreachableError(DatasetError, OSError):
    """A data set elsewhere that cannot be read just now."""


class NoRightsError(DatasetError, PermissionError):
    """A data set elsewhere that we may not read."""


class NotThereError(DatasetError, FileNotFoundError):
    """A file that is not there."""


def is_address(place: Path | str) -> bool:
    """Whether a place is an address, not a folder on this disk."""
    return isinstance(place, str) and "://" in place


@runtime_checkable
class Reads(Protocol):
    """Where files of one kind of address are read from."""

    def __call__(self, path: str) -> bytes:
        """The bytes of a whole file, named without its scheme."""
        ...


@dataclass
class Remote:
    """Whole files below an address; for one process."""

    address: str
    sleep: Callable[[float], None] = time.sleep
    _reads: Reads | None = field(default=None, repr=False)

    @property
    def scheme(self) -> str:
        """`s3`, `hf`, `file` ..."""
        return self.address.split("://", 1)[0]

    @property
    def shown(self) -> str:
        """The address without a name, a password or a query that may stand in it."""
        parts = urlsplit(self.address)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    def read(self, name: str) -> bytes:
        """The bytes of a file below the address.

        Raises:
            NotThereError: There is no such file.
            NoRightsError: We may not read it, or have no keys.
            UnreachableError: It could not be read in several attempts.
            DatasetError: Nobody here knows such addresses.
        """
        if self._reads is None:
            self._reads = reader_of(self.scheme)
        path = f"{self.address.split('://', 1)[1]}/{name}"
        problem = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                longest = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** (attempt - 1))
                # Jitter: the workers of a training lose their connection together.
                self.sleep(longest * random.uniform(0.5, 1.0))
            try:
                return self._reads(path)
            except FileNotFoundError as error:
                # A hub says of what is private that it is not there.
                private = f", or it is private: {_NO_RIGHTS['hf']}" if self.scheme == "hf" else ""
                raise NotThereError(f"there is no {self.shown}/{name}{private}") from error
            except Exception as error:  # Every kind of storage raises its own.
                problem = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
                if isinstance(error, PermissionError) or _DENIED.search(problem):
                    raise NoRightsError(self._no_rights(name)) from error
        raise UnreachableError(
            f"{self.shown}/{name} could not be read in {ATTEMPTS} attempts ({problem}); see "
            "whether the address can be reached from here, then repeat the command"
        )

    def _no_rights(self, name: str) -> str:
        what = _NO_RIGHTS.get(self.scheme, "see how its storage wants to be given a key")
        return f"no right to read {self.shown}/{name}: {what}"


def reader_of(scheme: str) -> Reads:
    """What reads addresses of one kind.

    Raises:
        DatasetError: Nobody here knows such addresses, or a package is missing.
    """
    if scheme == "s3":
        return _S3()
    try:
        import fsspec

        files = fsspec.filesystem(scheme, skip_instance_cache=True, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        raise DatasetError(
            f"addresses that begin with {scheme}:// cannot be read here ({error}); install what "
            "fsspec asks for, or copy the data set to a folder"
        ) from error
    return files.cat_file


class _S3:
    """S3 and what speaks like it, by the client that is in pyarrow."""

    def __init__(self) -> None:
        from pyarrow import fs

        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
        server = urlsplit(endpoint)
        own: dict[str, Any] = {}
        if server.netloc:
            own = {"endpoint_override": server.netloc, "scheme": server.scheme}
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        if region:
            own["region"] = region
        self._files = fs.S3FileSystem(
            # Attempts are ours: theirs would multiply with them.
            retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=1),
            request_timeout=_TIMEOUT_S,
            connect_timeout=_TIMEOUT_S / 4,
            **own,
        )

    def __call__(self, path: str) -> bytes:
        with self._files.open_input_file(path) as file:
            return file.read()
