"""Write docs/cli.md from the --help of every command; with --check, say whether it is up to date.

It calls the installed command and reads what a person would read; it knows no command by name.
"""

import difflib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

TARGET = Path(__file__).parent.parent / "docs" / "cli.md"
INTRODUCTION = """# Commands

<!-- Written by scripts/build_cli_docs.py (`make cli-docs`). Do not edit. -->

Exit codes: 0 done, 1 something failed and the rest was finished, 2 no face in any photo or a call
that cannot be understood, 130 interrupted.
"""


def help_text(command: tuple[str, ...]) -> str:
    """What `facegpt COMMAND --help` prints, 100 columns wide and without colours."""
    program = "import sys; from facegpt.cli import main; sys.exit(main())"
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}
    environment["PYTHONIOENCODING"] = "utf-8"
    result = subprocess.run(
        [sys.executable, "-c", program, *command, "--help"],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return "\n".join(line.rstrip() for line in result.stdout.strip().splitlines())


def commands(command: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every command below `command` with its help, itself first."""
    text = help_text(command)
    yield command, text
    usage = text.split("\n\n")[0]
    choices = re.search(r"\{([\w,\s-]+)\}\s*(\.\.\.)?$", usage)
    for name in re.split(r",\s*", choices[1]) if choices else []:
        yield from commands((*command, name))


def page() -> str:
    """The whole page."""
    sections = [INTRODUCTION]
    for command, text in commands():
        name = " ".join(("facegpt", *command))
        sections.append(f"## `{name}`\n\n```text\n{text}\n```\n")
    return "\n".join(sections)


def main() -> int:
    """Write the page, or compare it."""
    new = page()
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(new, encoding="utf-8")
        return 0
    old = TARGET.read_text(encoding="utf-8") if TARGET.exists() else ""
    lines = difflib.unified_diff(
        old.splitlines(), new.splitlines(), "docs/cli.md", "--help", "", ""
    )
    difference = "\n".join(lines)
    if difference:
        print(f"{difference}\n\ndocs/cli.md is not up to date; run: make cli-docs", file=sys.stderr)
    return int(bool(difference))


if __name__ == "__main__":
    sys.exit(main())
