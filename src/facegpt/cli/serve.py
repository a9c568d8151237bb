"""`facegpt serve`: the page and the interface for programs, on this machine."""

from typing import Annotated

import tyro

from facegpt.web.settings import ServeSettings

Flat = Annotated[ServeSettings, tyro.conf.arg(name="")]


def serve(settings: Flat) -> int:
    """Open a page to talk about faces in, and answer programs over HTTP, until Ctrl-C.

    The page is at /, what it is about at /about. For programs there are /v1/chat/completions as
    OpenAI's clients ask it, /v1/faces (photo to faces), /v1/imagine, /v1/edit, /v1/render and the
    files of every face; /openapi.json describes them. Only this machine is answered unless --host
    says otherwise, which needs --token or FACEGPT_TOKEN.
    """
    try:
        from facegpt.web.serving import serve as run
    except ImportError as error:
        raise ValueError(
            f"serving needs a web server ({error}); install it with: pip install 'facegpt[web]'"
        ) from error
    run(settings, lambda address: print(f"{address}  (Ctrl-C ends it)", flush=True))
    return 0
