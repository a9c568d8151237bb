"""Running the server: from settings to a listening socket.

Only this machine is answered unless somebody says otherwise, and then only with a token.
"""

import json
import logging
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
import uvicorn

from facegpt.listening import MOST_CONNECTIONS, address_of, listen
from facegpt.pipeline import FaceGPT
from facegpt.web.api import create_app
from facegpt.web.counting import Counters
from facegpt.web.engine import Engine
from facegpt.web.gate import Gate, GateSettings
from facegpt.web.settings import TOKEN_VARIABLE, ServeSettings
from facegpt.web.store import FaceStore

_SECONDS_TO_FINISH = 3
"""Open pages listen for ever; whoever waits for a face has had it by then, or asks again."""


def serve(settings: ServeSettings, announce: Callable[[str], None]) -> None:
    """Answer until interrupted.

    Args:
        announce: Gets the address once the server answers.

    Raises:
        ServingRefusedError: The address is taken or not one of this machine.
        NanoWeightsError, AssetMissingError: The model cannot be loaded.
    """
    # Before the model is loaded: a taken port is told at once.
    with listen(settings.host, settings.port) as listener:
        counters = Counters()
        store = FaceStore(settings.folder, settings.keep_hours * 3600)
        facegpt = FaceGPT.from_pretrained(
            settings.weights,
            device=settings.device,
            dtype=getattr(torch, settings.dtype),
            quantise=settings.quantise,
            base=settings.base,
        )
        engine = Engine(facegpt, store, settings, counters.done)
        counters.watch(engine)
        _log_lines()
        config = uvicorn.Config(
            guarded(engine, settings, counters),
            log_config=None,
            # It would show addresses and sessions.
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=MOST_CONNECTIONS,
            timeout_graceful_shutdown=_SECONDS_TO_FINISH,
            ws="none",
            lifespan="on",
        )
        announce(address_of(listener, settings.host) + _query(settings))
        try:
            with suppress(KeyboardInterrupt):
                uvicorn.Server(config).run(sockets=[listener])
        finally:
            engine.close()


def _query(settings: ServeSettings) -> str:
    """The token for a browser. One that came by the environment was to be shown nowhere: whoever
    set it adds it to the address."""
    is_secret = settings.token == os.environ.get(TOKEN_VARIABLE)
    return f"/?token={settings.token}" if settings.token and settings.page and not is_secret else ""


def guarded(engine: Engine, settings: ServeSettings, counters: Counters) -> Any:
    """The application behind its gate."""
    most = int(settings.most_upload_mb * (1 << 20))
    gate = GateSettings(settings.token, most, settings.requests_per_minute)
    app = create_app(engine, settings, counters)
    if settings.page:
        # Gradio takes seconds to import: a server for programs goes without it.
        from facegpt.web.page.app import add_page

        add_page(app, engine, settings)
    return Gate(app, gate)


class _JsonLines(logging.Formatter):
    """One object a line: time, level, logger, message."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        return json.dumps(line)


def _log_lines() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    for name in ("facegpt", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.WARNING)
