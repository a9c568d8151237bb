"""The Tab key, asked in the shells themselves; and what it offers compared with --help."""

import os
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from facegpt.cli import app, main
from facegpt.cli.completion import levels
from facegpt.cli.completion_scripts import SCRIPTS, Level, Option

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="shells of Unix")

ASK_BASH = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _facegpt
[[ ${#COMPREPLY[@]} == 0 ]] || printf '%s\\n' "${COMPREPLY[@]}"
"""
INTERACTIVE = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "source {script}\n"),
    "zsh": (["zsh", "-f", "-i"], "autoload -U compinit; compinit -u -D; source {script}\n"),
}
SECONDS = 30


def needs(shell: str) -> str:
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"{shell} is not installed")
    return path


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The script of each shell, in a folder with two files and a folder to complete."""
    folder = tmp_path_factory.mktemp("completion")
    (folder / "photo of me.jpg").touch()
    (folder / "weights").mkdir()
    found = levels()
    for shell, write in SCRIPTS.items():
        (folder / f"facegpt.{shell}").write_text(write(found), encoding="utf-8")
    return {shell: folder / f"facegpt.{shell}" for shell in SCRIPTS}


def bash(script: Path, *words: str) -> set[str]:
    """COMPREPLY at the end of these words."""
    command = [needs("bash"), "--norc", "-c", ASK_BASH, "bash", script, *words]
    return set(subprocess.check_output(command, encoding="utf-8", timeout=SECONDS).splitlines())


def fish(script: Path, line: str) -> set[str]:
    program = f"source {script}; complete -C '{line}'"
    out = subprocess.check_output(
        [needs("fish"), "--no-config", "-c", program],
        encoding="utf-8", cwd=script.parent, timeout=SECONDS,
    )  # fmt: skip
    return {answer.partition("\t")[0] for answer in out.splitlines()}


def typed(shell: str, script: Path, keys: str, until: str) -> str:
    """What a terminal shows while `keys` are typed."""
    command, begin = INTERACTIVE[shell]
    command = [needs(shell), *command[1:]]
    ours, theirs = os.openpty()
    environment = {**os.environ, "TERM": "dumb", "PS1": "$ ", "HOME": str(script.parent)}
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment,
        cwd=script.parent, start_new_session=True,
    )  # fmt: skip
    try:
        os.write(ours, (begin.format(script=script) + keys).encode())
        return _shown(ours, until)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)


def _shown(terminal: int, until: str) -> str:
    shown, end = "", time.monotonic() + SECONDS
    while until not in shown and time.monotonic() < end:
        if select.select([terminal], [], [], 0.2)[0]:
            shown += os.read(terminal, 1 << 16).decode(errors="replace")
    return shown


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("facegpt", "im"), {"imagine"}),
        (("facegpt", "data", ""), {"build", "inspect"}),
        (("facegpt", "imagine", "--sa"), {"--samples"}),
        (("facegpt", "imagine", "an old man", "--se"), {"--seed"}),
        (("facegpt", "train", "nano", "--weights.la"), {"--weights.landmark"}),
        (("facegpt", "data", "build", "--faces", ""), {"largest", "every"}),
        (("facegpt", "imagine", "--format", "glb", "o"), {"obj"}),
        (("facegpt", "data", "build", "--faces", "every", "l"), set()),
        (("facegpt", "imagine", "ser"), set()),
        (("facegpt", "reconstruct", "pho"), set()),
        (("facegpt", "completion", ""), {"bash", "zsh", "fish"}),
        (("facegpt", "benchmark", "build-sfg", "fr"), {"freeze"}),
    ],
)
def test_bash_offers(scripts: dict[str, Path], words: tuple[str, ...], offered: set[str]) -> None:
    assert bash(scripts["bash"], *words) == offered


def sections(project: Path) -> dict[str, str]:
    """The --help of every command (docs/cli.md is compared with it)."""
    page = (project / "docs" / "cli.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^## `facegpt ?(.*?)`\n\n```text\n(.*?)^```", page, re.M | re.S))


def test_bash_offers_the_options_of_help(scripts: dict[str, Path], project: Path) -> None:
    found = sections(project)
    assert len(found) > 40
    for command, text in found.items():
        offered = bash(scripts["bash"], "facegpt", *command.split(), "-")
        heads = "\n".join(re.findall(r"^│ (-.*?)(?:\s{2,}|│)", text, re.MULTILINE))
        assert offered == set(re.findall(r"(?<![\w.-])--?[A-Za-z][\w.-]*", heads)), command


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("facegpt im", {"imagine"}),
        ("facegpt data ", {"build", "inspect"}),
        ("facegpt imagine --sa", {"--samples"}),
        ("facegpt data build --faces ", {"largest", "every"}),
        ("facegpt reconstruct ph", {"photo of me.jpg"}),
        ("facegpt imagine --weights we", {"weights/"}),
        ("facegpt imagine --samples 2 --se", {"--seed"}),
    ],
)
def test_fish_offers(scripts: dict[str, Path], line: str, offered: set[str]) -> None:
    assert fish(scripts["fish"], line) == offered


@pytest.mark.parametrize("shell", INTERACTIVE)
@pytest.mark.parametrize(
    ("keys", "becomes"),
    [
        ("facegpt im\t", "facegpt imagine "),
        ("facegpt data build --des\t", "--describer "),
        ("facegpt data build --faces l\t", "--faces largest "),
        ("facegpt imagine --format glb po\t", "glb portrait "),
        ("facegpt reconstruct pho\t", r"photo\ of\ me.jpg "),
        ("facegpt imagine --weights we\t", "--weights weights/"),
    ],
)
def test_the_tab_key(scripts: dict[str, Path], shell: str, keys: str, becomes: str) -> None:
    shown = typed(shell, scripts[shell], keys, becomes)
    assert becomes in shown


@pytest.mark.parametrize("shell", SCRIPTS)
def test_any_description_survives_its_shell(shell: str, tmp_path: Path) -> None:
    asked = Option("--seed", 'it\'s $HOME "or" `not`: \\t', True, (), many=False)
    script = tmp_path / shell
    script.write_text(SCRIPTS[shell]([Level("", ("a",), (asked,)), Level(" a", (), (asked,))]))
    subprocess.run([needs(shell), "-n", script], check=True, timeout=SECONDS)


def test_the_command_prints_the_script(
    scripts: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for shell, script in scripts.items():
        with pytest.raises(SystemExit) as ended:
            main(["completion", shell])
        assert ended.value.code == 0
        assert capsys.readouterr().out == script.read_text(encoding="utf-8")


def test_another_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["completion", "tcsh"])
    captured = capsys.readouterr()
    assert ended.value.code == 2
    assert all(shell in captured.out + captured.err for shell in SCRIPTS)


def test_another_tyro_gets_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "cli", lambda **options: print("SPEC = {}"))
    with pytest.raises(ValueError, match=r"pip install -c constraints\.txt tyro"):
        levels()


def test_descriptions_are_one_line() -> None:
    def all_options(found: Iterable[Level]) -> Iterable[Option]:
        return (option for level in found for option in level.options)

    seeds = {option.about for option in all_options(levels()) if option.flag == "--seed"}
    assert "Of the draw; another seed gives other heads" in seeds
    assert not [o for o in all_options(levels()) if "\n" in o.about or "(default" in o.about]
