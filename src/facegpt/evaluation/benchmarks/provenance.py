"""What numbers were made with: versions of the libraries, and the commit of a checkout."""

import importlib.metadata
import platform
import subprocess
from pathlib import Path

_LIBRARIES = ("torch", "numpy", "scipy", "transformers", "trimesh", "dlib-bin")


def versions() -> dict[str, str]:
    """Name -> version of everything that shapes the numbers; empty where it is not installed."""
    from facegpt import __version__

    found = {"facegpt": __version__, "python": platform.python_version()}
    return found | {name: _version(name) for name in _LIBRARIES}


def commit() -> str:
    """The git commit of the source, with `+changes` behind it if files differ from it; empty for an
    installed package."""
    source = Path(__file__).resolve().parent
    number = _git(source, "rev-parse", "HEAD")
    # A package inside somebody else's repository is not ours to name.
    if not number or not _git(source, "ls-files", "--", Path(__file__).name):
        return ""
    return f"{number}+changes" if _git(source, "status", "--porcelain", "--", ".") else number


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _git(folder: Path, *arguments: str) -> str:
    try:
        answer = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.strip()
