"""Who may see a study, and what a browser may do with it.

Knows no questions: it stands before every route.
"""

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, RedirectResponse, Response
from starlette.middleware.base import RequestResponseEndpoint

from facegpt.listening import SECURITY_HEADERS, is_local_name, is_same_secret

COOKIE_SECONDS = 90 * 24 * 3600
"""People finish over days, so cookies outlive the browser window."""

_HEADERS = {
    **SECURITY_HEADERS,
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}


def install_guard(app: FastAPI, token: str | None, cookie: str) -> None:
    """Put the checks and the headers before every route.

    Args:
        token: What everybody must bring, once in the link and then in the cookie. Without it only
            this machine is answered under its own names, so that no web page can borrow the
            visitor's browser by pointing a name of its own here (DNS rebinding).
        cookie: Its name.
    """

    @app.middleware("http")
    async def guard(request: Request, call_next: RequestResponseEndpoint) -> Response:
        if token is None:
            answer = _refuse_foreign_names(request)
        else:
            answer = _ask_for_token(request, token, cookie)
        response = answer or await call_next(request)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        return response


def set_cookie(response: Response, name: str, value: str) -> None:
    """A cookie that no script reads and no other site makes a browser send."""
    response.set_cookie(
        name, value, max_age=COOKIE_SECONDS, path="/", httponly=True, samesite="strict"
    )


def _refuse_foreign_names(request: Request) -> Response | None:
    if is_local_name(request.headers.get("host", "")):
        return None
    return PlainTextResponse("This study is only shown at http://127.0.0.1.", status_code=421)


def _ask_for_token(request: Request, token: str, cookie: str) -> Response | None:
    if is_same_secret(request.cookies.get(cookie, ""), token):
        return None
    if request.url.path == "/" and is_same_secret(request.query_params.get("token", ""), token):
        # The redirect takes the token out of the address bar and the history.
        response = RedirectResponse("/", status_code=303)
        set_cookie(response, cookie, token)
        return response
    return PlainTextResponse(
        "This study opens with the complete link that you were given.", status_code=401
    )
