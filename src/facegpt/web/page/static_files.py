"""The scripts, the style and the texts that the page is made of, in memory: no request becomes a
path.
"""

import re
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from fastapi import FastAPI
from fastapi.responses import Response

PREFIX = "/page"

_SPECIFIER = re.compile(rb"""(from\s+['"])three(['"])""")
_KINDS = {"js": "text/javascript", "css": "text/css"}
"""The registry of a Windows machine may say something else."""


@cache
def static_files() -> dict[str, bytes]:
    """Name with folders -> content. Browsers that know one import map a page at most would not
    find `three`, so modules that ask for it by that name are given its place."""
    found: dict[str, bytes] = {}
    _collect(files("facegpt.web") / "static", "", found)
    core = "vendor/three/three.module.min.js"
    return {
        name: _SPECIFIER.sub(rb"\1" + _way(name, core).encode() + rb"\2", content)
        for name, content in found.items()
    }


def add_static_files(app: FastAPI) -> None:
    """Put them under /page."""

    @app.get(PREFIX + "/{name:path}", include_in_schema=False)
    async def static_file(name: str) -> Response:
        content = static_files().get(name)
        if content is None:
            return Response(status_code=404)
        kind = _KINDS[name.rpartition(".")[2]]
        return Response(content, media_type=kind, headers={"Cache-Control": "no-cache"})


def _collect(folder: Traversable, prefix: str, found: dict[str, bytes]) -> None:
    for entry in folder.iterdir():
        if entry.is_dir():
            _collect(entry, f"{prefix}{entry.name}/", found)
        elif entry.name.rpartition(".")[2] in _KINDS:
            found[prefix + entry.name] = entry.read_bytes()


def _way(name: str, target: str) -> str:
    """From a file to another, as browsers go."""
    return "../" * name.count("/") + target if "/" in name else f"./{target}"
