"""The completion scripts of bash, zsh and fish, as texts.

All three know where on the way of commands the cursor is (` data build`), which option stands
last before it, and what that option takes. Everywhere else they leave it to the shell, which
offers files. They know neither positional choices nor `--option=value`.
"""

import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Option:
    """One spelling of an option."""

    flag: str
    about: str
    """In one line."""
    takes_value: bool
    values: tuple[str, ...]
    """All that it takes; empty where anything goes."""
    many: bool
    """Several values may follow."""


@dataclass(frozen=True)
class Level:
    """A command."""

    path: str
    """Its words, each after a space; empty for `facegpt` itself."""
    commands: tuple[str, ...]
    """The ones below it."""
    options: tuple[Option, ...]


_BASH = """\
# Completion of facegpt for bash, written by: facegpt completion bash
_facegpt() {
  local IFS=$' \\t\\n' word=${COMP_WORDS[COMP_CWORD]} at="" option="" many="" i
  local commands="" options="" values=""
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$at ${COMP_WORDS[i]}" in
      PATHS) at="$at ${COMP_WORDS[i]}" ;;
      *" -"*) option=${COMP_WORDS[i]} ;;
    esac
  done
  case "$at" in
LEVELS
  esac
  case "$at $option" in
VALUES
  esac
  [[ $option == "${COMP_WORDS[COMP_CWORD - 1]}" || $many ]] || values=""
  if [[ $word == -* ]]; then
    values=$options
  fi
  # shellcheck disable=SC2207  # none of these words has a space
  COMPREPLY=($(compgen -W "${values:-$commands}" -- "$word"))
}
complete -o bashdefault -o default -F _facegpt facegpt
"""

_ZSH = """\
#compdef facegpt
# Completion of facegpt for zsh, written by: facegpt completion zsh
_facegpt() {
  local at="" option="" many="" i
  local -a commands options values
  for ((i = 2; i < CURRENT; i++)); do
    case "$at $words[i]" in
      (PATHS) at="$at $words[i]" ;;
      (*" -"*) option=$words[i] ;;
    esac
  done
  case "$at" in
LEVELS
  esac
  case "$at $option" in
VALUES
  esac
  [[ $option == "$words[CURRENT-1]" || -n $many ]] || values=()
  if [[ $words[CURRENT] == -* ]]; then
    _describe -o option options
  elif (( $#values )); then
    compadd -a values
  elif (( $#commands )); then
    compadd -a commands
  else
    _files
  fi
}
if [[ $funcstack[1] == _facegpt ]]; then
  _facegpt "$@"
else
  compdef _facegpt facegpt
fi
"""

_FISH = """\
# Completion of facegpt for fish, written by: facegpt completion fish
function __facegpt_at
    set -l at
    for word in (commandline -opc)[2..]
        if contains -- "$at $word" PATHS
            set at "$at $word"
        end
    end
    contains -- "$at" $argv
end
"""


def bash(levels: Iterable[Level]) -> str:
    """To be sourced, or found by bash-completion; works from bash 3.2 on."""
    levels = list(levels)
    rows = [
        f'    {_either(paths)}) commands="{" ".join(level.commands)}"\n'
        f'      options="{" ".join(option.flag for option in level.options)}" ;;'
        for paths, level in _alike(levels)
    ]
    values = [
        f"    {_either(f'{path} {option.flag}' for path in paths)})"
        f' values="{" ".join(option.values)}"{" many=1" * option.many} ;;'
        for paths, option in _with_values(levels)
    ]
    return _filled(_BASH, levels, rows, values)


def zsh(levels: Iterable[Level]) -> str:
    """To be sourced, or called `_facegpt` in a folder of $fpath."""
    levels = list(levels)
    rows = [
        f"    ({_either(paths)}) commands=({' '.join(level.commands)})\n      options=(\n"
        + "".join(f"        {shlex.quote(f'{o.flag}:{o.about}')}\n" for o in level.options)
        + "      ) ;;"
        for paths, level in _alike(levels)
    ]
    values = [
        f"    ({_either(f'{path} {option.flag}' for path in paths)})"
        f" values=({' '.join(option.values)}){' many=1' * option.many} ;;"
        for paths, option in _with_values(levels)
    ]
    return _filled(_ZSH, levels, rows, values)


def fish(levels: Iterable[Level]) -> str:
    """To be sourced, or called `facegpt.fish` in fish's folder of completions. It completes one
    value of an option that takes several."""
    levels = list(levels)
    paths = " ".join(f'"{level.path}"' for level in levels if level.path)
    lines = [_FISH.replace("PATHS", paths)]
    for places, level in _alike(levels):
        condition = shlex.quote("__facegpt_at " + " ".join(f'"{place}"' for place in places))
        where = f"complete -c facegpt -n {condition}"
        if level.commands:
            lines.append(f"{where} -f -a '{' '.join(level.commands)}'\n")
        lines += [f"{where} {_fish_option(option)}\n" for option in level.options]
    return "".join(lines)


def _fish_option(option: Option) -> str:
    name = option.flag.lstrip("-")
    words = ["-l" if option.flag.startswith("--") else "-s", name, "-d", shlex.quote(option.about)]
    if option.values:
        words += ["-x", "-a", shlex.quote(" ".join(option.values))]
    elif option.takes_value:
        words += ["-r", "-F"]
    return " ".join(words)


def _alike(levels: Iterable[Level]) -> list[tuple[list[str], Level]]:
    """Commands that offer the same, once: the presets of a training have seventy options each."""
    groups: dict[tuple[tuple[str, ...], tuple[Option, ...]], list[Level]] = {}
    for level in levels:
        groups.setdefault((level.commands, level.options), []).append(level)
    return [([level.path for level in group], group[0]) for group in groups.values()]


def _with_values(levels: Iterable[Level]) -> list[tuple[list[str], Option]]:
    groups: dict[Option, list[str]] = {}
    for level in levels:
        for option in level.options:
            if option.values:
                groups.setdefault(option, []).append(level.path)
    return [(paths, option) for option, paths in groups.items()]


def _either(words: Iterable[str]) -> str:
    """A pattern of `case`."""
    return " | ".join(f'"{word}"' for word in words)


def _filled(script: str, levels: Iterable[Level], rows: list[str], values: list[str]) -> str:
    paths = _either(level.path for level in levels if level.path)
    script = script.replace("PATHS", paths).replace("LEVELS", "\n".join(rows))
    return script.replace("VALUES", "\n".join(values))


SCRIPTS: dict[str, Callable[[Iterable[Level]], str]] = {"bash": bash, "zsh": zsh, "fish": fish}
"""By the name of the shell."""
