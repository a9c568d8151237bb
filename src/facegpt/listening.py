"""Opening a server: to this machine alone, or to the network with a token.

What the user study and the interface for programs have in common. Knows neither, and no web
framework, so that settings can be checked before one is loaded.
"""

import ipaddress
import re
import secrets
import socket
from urllib.parse import urlsplit

SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Of every answer; a page needs a wider policy of its own."""

MOST_CONNECTIONS = 500

_LOCAL_NAMES = ("127.0.0.1", "::1", "localhost")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,128}")
_TOKEN_BYTES = 24


class ServingRefusedError(ValueError):
    """A server would be open to more people than was said, or cannot listen."""


def check_openness(
    host: str, port: int, token: str | None, what: str, told_by: str = "--token"
) -> None:
    """Whether a server may listen so.

    Args:
        what: What it would do for the network, such as "shows the study".
        told_by: How a person gives the token.

    Raises:
        ServingRefusedError: The port or the token is none, or the network is let in without a
            token.
    """
    if not 0 <= port < 1 << 16:
        raise ServingRefusedError(f"--port must be between 0 and 65535, got {port}")
    if token is not None and not _TOKEN.fullmatch(token):
        raise ServingRefusedError(
            f"{told_by} must have 16 to 128 letters, digits, - or _, for example "
            f"{secrets.token_urlsafe(_TOKEN_BYTES)}"
        )
    if token is None and not _is_this_machine(host):
        raise ServingRefusedError(
            f"--host {host} {what} to the network, so it needs a token; give {told_by}, for "
            f"example {secrets.token_urlsafe(_TOKEN_BYTES)}"
        )


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Args:
        port: 0 takes any free one.

    Raises:
        ServingRefusedError: The address is taken or not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ServingRefusedError(
            f"cannot listen on {host}, port {port}: {error.strerror or error}; give another --port "
            "or --host"
        ) from error


def address_of(listener: socket.socket, host: str) -> str:
    """What a browser asks for."""
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listener.getsockname()[1]}"


def is_local_name(host_header: str) -> bool:
    """Whether this machine was asked for by a name of its own. A page that points a name of its
    own here (DNS rebinding) is not."""
    try:
        return urlsplit(f"//{host_header}").hostname in _LOCAL_NAMES
    except ValueError:
        return False


def is_same_secret(given: str, expected: str) -> bool:
    """Compared in a time that says nothing of where they differ."""
    return secrets.compare_digest(given.encode(), expected.encode())


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
