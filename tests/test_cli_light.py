"""The command line answers questions about itself without loading anything heavy."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "transformers", "numba", "scipy", "PIL", "dlib", "safetensors", "skimage")

PROBE = f"""
import sys
try:
    from facegpt.cli import main
    code = main()
except SystemExit as stop:
    code = stop.code
loaded = [name for name in {HEAVY!r} if name in sys.modules]
print("LOADED", *loaded)
sys.exit(code)
"""


def call(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROBE, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("--version",),
        ("fit", "--help"),
        ("render", "--help"),
        ("imagine", "--help"),
        ("chat", "--help"),
        ("evaluate", "table3", "--help"),
        ("data", "build", "--help"),
        ("train", "nano", "--help"),
        ("completion", "bash"),
    ],
)
def test_help_loads_nothing_heavy(arguments: tuple[str, ...]) -> None:
    result = call(*arguments)
    assert result.returncode == 0, result.stderr
    assert re.search(r"^LOADED$", result.stdout, re.MULTILINE), result.stdout


def test_an_unknown_command_is_refused_without_a_traceback() -> None:
    result = call("fti")
    assert result.returncode == 2
    assert "Traceback" not in result.stderr + result.stdout
    assert "fit" in result.stderr + result.stdout


def test_importing_facegpt_loads_nothing_heavy() -> None:
    program = f"import facegpt, sys; print([name for name in {HEAVY!r} if name in sys.modules])"
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, encoding="utf-8", check=True
    ).stdout
    assert output.strip() == "[]"


def test_the_manual_of_the_commands_is_up_to_date(project: Path) -> None:
    """If not: `make cli-docs`."""
    result = subprocess.run(
        [sys.executable, project / "scripts" / "build_cli_docs.py", "--check"],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert result.returncode == 0, result.stderr
