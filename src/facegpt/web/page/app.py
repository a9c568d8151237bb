"""The page in the application of the server.

Gradio asks its maker's servers for fonts, versions and statistics unless it is told not to; the
page's policy lets a browser ask nobody but this server, so that a later version cannot either.
"""

import os
import re
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, JSONResponse

from facegpt.perception.skin import LICENCES as SKIN_LICENCES
from facegpt.web.engine import Engine
from facegpt.web.gate import problem
from facegpt.web.page.about import about_page
from facegpt.web.page.static_files import PREFIX, add_static_files, static_files
from facegpt.web.page.uploads import delete_old_uploads, empty
from facegpt.web.settings import ServeSettings

_PATHS_OF_PROGRAMS = ("/v1/", "/healthz", "/metrics", "/openapi.json")
_UPLOADS = "uploads"
_UPLOAD_SECONDS = 600.0
"""How long a photo that was attached and never sent stays."""
_API = "/gradio_api"
_FILE = f"{_API}/file="
_MESSAGES = (f"{_API}/queue/join", f"{_API}/upload", f"{_API}/cancel", f"{_API}/run/")
_PAGES = ("/", "/about", "/config", "/theme.css", "/favicon.ico", "/manifest.json")
_USED = (
    *("/assets/", "/static/", "/page/", f"{_API}/upload", f"{_API}/heartbeat/"),
    *(f"{_API}/queue/join", f"{_API}/queue/data", f"{_API}/cancel", f"{_API}/info"),
    *(f"{_API}/run/", f"{_API}/reset", f"{_API}/startup-events"),
)
_POLICY = "; ".join(
    (
        "default-src 'none'",
        # Gradio makes functions of strings, and starts by a script in the page.
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "media-src 'self' blob:",
        "connect-src 'self' blob: data:",
        "worker-src 'self' blob:",
        "manifest-src 'self'",
        "base-uri 'self'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_LOOK = {
    "block_title_background_fill": "transparent",
    "block_title_background_fill_dark": "transparent",
    "block_title_text_color": "*body_text_color",
    "block_title_text_color_dark": "*body_text_color",
    "block_title_text_weight": "500",
    "block_title_padding": "0",
    "checkbox_border_color": "*neutral_400",
    "link_text_color": "*primary_700",
    "link_text_color_dark": "*primary_300",
}
_FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif")
_MONO_FONTS = ("ui-monospace", "Cascadia Mono", "Menlo", "DejaVu Sans Mono", "monospace")


def add_page(app: FastAPI, engine: Engine, settings: ServeSettings) -> None:
    """Put the page under /, beside what is there already."""
    uploads = settings.folder / _UPLOADS
    empty(uploads)
    engine.store.also_sweep(lambda: delete_old_uploads(uploads, _UPLOAD_SECONDS))
    # Before the first import of Gradio, which reads them then.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_TEMP_DIR"] = str(uploads)
    os.environ.pop("GRADIO_VIBE_MODE", None)
    import gradio as gr
    from gradio.themes import Soft

    from facegpt.web.page.layout import Page
    from facegpt.web.page.photos import PhotoMemory
    from facegpt.web.page.talking import Listener

    add_static_files(app)
    _add_about(app, engine, settings)
    app.add_middleware(PagePolicy, uploads=uploads)
    memory = PhotoMemory()
    engine.store.also_sweep(memory.forget_old)
    listener = Listener(engine, memory, settings.seconds)
    blocks = Page(listener, uploads).build()
    blocks.queue(max_size=settings.most_waiting, api_open=False)
    gr.mount_gradio_app(
        app,
        blocks,
        path="/",
        theme=Soft(
            primary_hue="teal", neutral_hue="stone", font=list(_FONTS), font_mono=list(_MONO_FONTS)
        ).set(**_LOOK),
        css=static_files()["page.css"].decode(),
        head=f'<script type="module" src="{PREFIX[1:]}/page.js"></script>',
        footer_links=[],
        show_error=False,
        max_file_size=int(settings.most_upload_mb * (1 << 20)),
        enable_monitoring=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        favicon_path=str(Path(__file__).parent.parent / "static" / "icon.svg"),
    )


def _add_about(app: FastAPI, engine: Engine, settings: ServeSettings) -> None:
    reader = engine.facegpt.reader
    names = (*reader.model.licences, *reader.detector.licences, *reader.licences, *SKIN_LICENCES)
    page = about_page(names, settings.keep_hours)

    @app.get("/about", include_in_schema=False)
    async def about() -> HTMLResponse:
        return HTMLResponse(page)


class PagePolicy:
    """ASGI middleware: what a browser may do with the page, and which of Gradio's routes there
    are. It has many more than the page uses, and those that it does not use are not there."""

    def __init__(self, app: Callable[..., Awaitable[None]], uploads: Path) -> None:
        self._app = app
        # A photo that was attached and not sent yet is shown beside the words.
        self._upload = re.compile(re.escape(str(uploads.resolve())) + r"/[0-9a-f]{64}/[^/\\]+")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request."""
        if scope["type"] != "http" or scope["path"].startswith(_PATHS_OF_PROGRAMS):
            await self._app(scope, receive, send)
            return

        if not self._is_used(scope["path"]):
            await _with_policy(problem(404, "there is no such page"))(scope, receive, send)
            return
        answer = _PageAnswer(send)
        try:
            await self._app(scope, receive, answer.send)
        except Exception:
            if not scope["path"].startswith(_MESSAGES) or answer.has_begun:
                raise
            answer.has_failed = True
        if answer.has_failed:
            # What is asked for is done later: until then only the message itself can be wrong.
            refusal = problem(422, "the page sends no such message; load it again")
            await _with_policy(refusal)(scope, receive, send)

    def _is_used(self, path: str) -> bool:
        file = path.removeprefix(_FILE)
        if file != path:
            return self._upload.fullmatch(file) is not None
        return path in _PAGES or path.startswith(_USED)


class _PageAnswer:
    """Sends an answer on with the policy of the page; of one that failed nothing is sent."""

    def __init__(self, send: Callable[..., Awaitable[None]]) -> None:
        self._send = send
        self.has_begun = False
        self.has_failed = False

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """One message of the answer."""
        if message["type"] == "http.response.start":
            self.has_failed = message["status"] == 500
            own = [(b"content-security-policy", _POLICY.encode())]
            message = {**message, "headers": [*message.get("headers", []), *own]}
        if not self.has_failed:
            self.has_begun = True
            await self._send(message)


def _with_policy(response: JSONResponse) -> JSONResponse:
    response.headers["Content-Security-Policy"] = _POLICY
    return response
