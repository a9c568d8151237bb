"""What stands before every route: who is answered, how often, and how much may be sent.

Plain ASGI, so that streams flow through and a caller that goes away is noticed. Knows no faces.
"""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from starlette.responses import JSONResponse, RedirectResponse, Response

from facegpt.listening import SECURITY_HEADERS, is_local_name, is_same_secret

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN_PATHS = ("/healthz",)
"""Answered without a token: they say nothing."""

PARTS_OF_THE_PAGE = ("/assets/", "/static/", "/page/", "/theme.css")
"""A browser asks for a hundred of them at once: they cost nothing and are not counted."""

_PAGES = ("/", "/about")
_COOKIE = "facegpt_token"

_MOST_CALLERS = 10_000


@dataclass(frozen=True)
class GateSettings:
    """Who is answered."""

    token: str | None = None
    """What callers send as `Authorization: Bearer TOKEN`. Without it only this machine is answered,
    under its own names, so that no web page can borrow a browser by a name of its own (DNS
    rebinding)."""
    most_body_bytes: int = 16 << 20
    requests_per_minute: int = 600
    """Of one token or, without a token, of one address."""


class RateLimit:
    """So many requests a minute for each caller, and as many at once; forgets who is long gone."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = per_minute / 60
        self._most = float(per_minute)
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def seconds_to_wait(self, caller: str) -> float:
        """0 if the request may pass, which counts it; otherwise after how long one may."""
        now = self._clock()
        left, then = self._left.pop(caller, (self._most, now))
        left = min(self._most, left + (now - then) * self._rate)
        wait = 0.0 if left >= 1 else (1 - left) / self._rate
        self._left[caller] = (left if wait else left - 1, now)
        if len(self._left) > _MOST_CALLERS:
            self._left.popitem(last=False)
        return wait


class Gate:
    """The application behind its checks."""

    def __init__(self, app: App, settings: GateSettings) -> None:
        """`app` is what is called when a request may pass."""
        self._app = app
        self._settings = settings
        self._rate = RateLimit(settings.requests_per_minute)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; other protocols than HTTP are passed on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        guarded = _with_headers(send)
        headers = _headers_of(scope)
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await refusal(scope, receive, guarded)
            return
        body = _LimitedBody(receive, guarded, self._settings.most_body_bytes)
        if int_of(headers.get("content-length")) > self._settings.most_body_bytes:
            await self._too_large()(scope, receive, guarded)
            return
        try:
            await self._app(scope, body.receive, body.send)
        except _TooLargeError:
            if not body.has_answered:
                await self._too_large()(scope, receive, guarded)
        except Exception:  # servers would log it with what was said; its kind is logged already
            if not body.has_answered:
                await problem(500, "something went wrong here")(scope, receive, guarded)

    def _refusal(self, scope: Scope, headers: Mapping[str, str]) -> Response | None:
        is_link = scope["method"] == "GET" and scope["path"] in _PAGES
        if not _is_own_origin(headers) and not (is_link and _is_followed_link(headers)):
            return problem(403, "pages of other sites are not answered")
        if self._settings.token is None:
            if not is_local_name(headers.get("host", "")):
                return problem(421, "this server only answers at http://127.0.0.1")
        elif scope["path"] not in OPEN_PATHS and not self._brings_token(headers):
            if self._is_complete_link(scope):
                return self._cookie_for(scope)
            return problem(
                401,
                "this server wants its token: send the header Authorization: Bearer TOKEN",
                {"WWW-Authenticate": "Bearer"},
            )
        if scope["path"].startswith(PARTS_OF_THE_PAGE):
            return None
        wait = self._rate.seconds_to_wait(self._caller(scope))
        if wait > 0:
            seconds = str(int(wait) + 1)
            message = f"more than {self._settings.requests_per_minute} requests a minute; wait"
            return problem(429, f"{message} {seconds} s", {"Retry-After": seconds})
        return None

    def _brings_token(self, headers: Mapping[str, str]) -> bool:
        token = self._settings.token or ""
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if is_same_secret(given.strip(), token) and scheme.lower() == "bearer":
            return True
        return is_same_secret(_cookies_of(headers).get(_COOKIE, ""), token)

    def _is_complete_link(self, scope: Scope) -> bool:
        """The address that the server printed, opened in a browser."""
        given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [""])[0]
        return scope["path"] == "/" and is_same_secret(given, self._settings.token or "")

    def _cookie_for(self, scope: Scope) -> Response:
        """The token in a cookie that no script reads and no other site makes a browser send; the
        redirect takes it out of the address bar and the history."""
        answer = RedirectResponse(scope.get("root_path", "") + "/", status_code=303)
        answer.set_cookie(
            _COOKIE, self._settings.token or "", path="/", httponly=True, samesite="strict"
        )
        return answer

    def _caller(self, scope: Scope) -> str:
        client = scope.get("client")
        return "token" if self._settings.token else str(client[0] if client else "")

    def _too_large(self) -> JSONResponse:
        most = self._settings.most_body_bytes
        return problem(413, f"a request may have {most} bytes; send a smaller photo")


class _TooLargeError(Exception):
    """A body without a true length goes on and on."""


class _LimitedBody:
    """Counts what is received; knows whether an answer has begun."""

    def __init__(self, receive: Receive, send: Send, most: int) -> None:
        self._receive, self._send, self._most = receive, send, most
        self._bytes = 0
        self.has_answered = False

    async def receive(self) -> MutableMapping[str, Any]:
        message = await self._receive()
        self._bytes += len(message.get("body", b""))
        if self._bytes > self._most:
            raise _TooLargeError
        return message

    async def send(self, message: MutableMapping[str, Any]) -> None:
        self.has_answered = True
        await self._send(message)


def problem(status: int, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """An error in the form that OpenAI's clients read."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    body = {"error": {"message": message, "type": kind, "code": status}}
    return JSONResponse(body, status_code=status, headers=dict(headers or {}))


def int_of(text: str | None) -> int:
    """A number of bytes in a header; 0 if it is none, and no more than 18 digits of it."""
    return int(text[:18]) if text is not None and text.isascii() and text.isdigit() else 0


def _headers_of(scope: Scope) -> dict[str, str]:
    return {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}


def _cookies_of(headers: Mapping[str, str]) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in headers.get("cookie", "").split(";"))
    return {name.strip(): value.strip() for name, _, value in pairs}


def _is_followed_link(headers: Mapping[str, str]) -> bool:
    """A person goes to the page from elsewhere; nothing of it can be read there."""
    return headers.get("sec-fetch-mode") == "navigate" and "origin" not in headers


def _is_own_origin(headers: Mapping[str, str]) -> bool:
    """Browsers say which page asks; programs do not."""
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site", "none") in ("none", "same-origin")
    try:
        return urlsplit(origin).netloc == headers.get("host", "")
    except ValueError:
        return False


def _with_headers(send: Send) -> Send:
    """A route may say something else of its own answers."""

    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            own = list(message.get("headers", []))
            there = {name.lower() for name, _ in own}
            own += [
                (name.lower().encode(), value.encode())
                for name, value in SECURITY_HEADERS.items()
                if name.lower().encode() not in there
            ]
            message = {**message, "headers": own}
        await send(message)

    return sending
