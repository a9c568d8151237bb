"""`facegpt completion`: what the Tab key of a shell needs to know of the commands.

The scripts of tyro (--tyro-print-completion) are not given out: they start Python at every Tab,
delete a file name that is being typed, offer pieces of help texts, and the one for fish is too
large to run. Theirs is the table of commands; the scripts (completion_scripts.py) are ours.
"""

import ast
import contextlib
import io
import re
from collections.abc import Callable, Iterator
from typing import Any

import tyro

from facegpt.cli.completion_scripts import SCRIPTS, Level, Option

completion_app = tyro.extras.SubcommandApp()

_PLACES = {
    "bash": "for ~/.local/share/bash-completion/completions/facegpt, or to be sourced.",
    "zsh": "for a file called _facegpt in a folder of $fpath, or to be sourced after compinit.",
    "fish": "for ~/.config/fish/completions/facegpt.fish.",
}
_AGAIN = "It asks nothing of facegpt when it runs: write it again after an update."
_TABLE = re.compile(r"^COMPLETION_SPEC = (.*)$", re.MULTILINE)
_WITHOUT_VALUE = ("flag", "boolean")


def _command(shell: str) -> Callable[[], int]:
    def run() -> int:
        print(SCRIPTS[shell](levels()), end="")
        return 0

    run.__doc__ = f"The script for {shell}; {_PLACES[shell]}\n\n{_AGAIN}"
    return run


for _shell in SCRIPTS:
    completion_app.command(name=_shell)(_command(_shell))


def levels() -> list[Level]:
    """Every command with its options, `facegpt` itself first."""
    from facegpt.cli import app

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        app.cli(prog="facegpt", args=["--tyro-print-completion", "bash"])
    table = _TABLE.search(printed.getvalue())
    if table is None:
        raise ValueError(
            f"tyro {tyro.__version__} says its commands in another way than facegpt knows; "
            "install the version of constraints.txt: pip install -c constraints.txt tyro"
        )
    return list(_levels("", ast.literal_eval(table[1])))


def _levels(path: str, spec: dict[str, Any]) -> Iterator[Level]:
    below = spec["subcommands"]
    options = tuple(option for entry in spec["options"] for option in _options(entry))
    yield Level(path, tuple(below), options)
    for name, inner in below.items():
        yield from _levels(f"{path} {name}", inner)


def _options(entry: dict[str, Any]) -> Iterator[Option]:
    takes_value = entry["type"] not in _WITHOUT_VALUE
    about = entry["description"].rpartition(" • ")[2]
    # The first sentence: shells show one line.
    about = " ".join(re.split(r"\.\s|\s*\((?:default|required)", about)[0].rstrip(".").split())
    values = tuple(str(choice) for choice in entry.get("choices", ()))
    for flag in entry["flags"]:
        yield Option(flag, about, takes_value, values, many=entry.get("nargs") == "*")
