"""Dockerfile and compose.yaml: what they promise of the server, as far as no container is needed.

`make lint` asks hadolint about the rest.
"""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from facegpt.cli import main

CLOSED_PORT = "127.0.0.1:9"


@pytest.fixture(scope="session")
def instructions(project: Path) -> list[tuple[str, str]]:
    """Instruction and arguments, line by line of the Dockerfile."""
    text = (project / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split(None, 1)[0], " ".join(line.split(None, 1)[1].split())) for line in lines]


@pytest.fixture(scope="session")
def last_stage(instructions: list[tuple[str, str]]) -> dict[str, list[str]]:
    """Instruction -> its arguments, of what is shipped."""
    start = max(n for n, (name, _) in enumerate(instructions) if name == "FROM")
    stage: dict[str, list[str]] = {}
    for name, arguments in instructions[start:]:
        stage.setdefault(name, []).append(arguments)
    return stage


@pytest.fixture(scope="session")
def compose(project: Path) -> dict[str, Any]:
    return yaml.safe_load((project / "compose.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def service(compose: dict[str, Any]) -> dict[str, Any]:
    return compose["services"]["facegpt"]


@pytest.fixture(scope="session")
def health_command(last_stage: dict[str, list[str]]) -> list[str]:
    [check] = last_stage["HEALTHCHECK"]
    return json.loads(check[check.index("CMD ") + 4 :])


def test_the_base_is_one_release_of_python(instructions: list[tuple[str, str]]) -> None:
    bases = [arguments.split() for name, arguments in instructions if name == "FROM"]
    stages = {base[2] for base in bases if len(base) == 3}
    [outside] = {base[0] for base in bases if base[0] not in stages}
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+", outside)


def test_nothing_is_fetched_but_packages(
    project: Path, instructions: list[tuple[str, str]]
) -> None:
    assert "ADD" not in {name for name, _ in instructions}
    for file in ("Dockerfile", "compose.yaml"):
        named = re.findall(r"\w+://([^/'\"]+)", (project / file).read_text(encoding="utf-8"))
        assert set(named) <= {"127.0.0.1:8000"}


def test_what_is_shipped_has_no_root_and_no_installer(last_stage: dict[str, list[str]]) -> None:
    user, group = last_stage["USER"][-1].split(":")
    assert min(int(user), int(group)) > 0
    assert not re.search(r"\b(pip|apt-get|curl)\b", " ".join(last_stage["RUN"]))
    assert last_stage["COPY"] == ["--from=build /opt/facegpt /opt/facegpt"]


def test_what_is_copied_is_there_and_not_ignored(
    project: Path, instructions: list[tuple[str, str]]
) -> None:
    ignored, *rules = [
        line
        for line in (project / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    ]
    copied = {
        source
        for name, arguments in instructions
        if name == "COPY" and not arguments.startswith("--from")
        for source in arguments.split()[:-1]
    }
    assert ignored == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == copied
    assert all((project / name).exists() for name in copied)
    settings = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    for name in (settings["readme"], *settings["license-files"]):
        assert any(Path(name).is_relative_to(source) for source in copied), name


def test_without_a_token_it_refuses_in_one_sentence(
    last_stage: dict[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert json.loads(last_stage["ENTRYPOINT"][0]) == ["facegpt"]
    with pytest.raises(SystemExit) as ended:
        main(json.loads(last_stage["CMD"][0]))
    assert ended.value.code == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "needs a token; give --token or FACEGPT_TOKEN" in line


def is_healthy(command: list[str], address: str) -> bool:
    assert command[:2] == ["python", "-c"]
    program = command[2].replace("127.0.0.1:8000", address)
    environment = {"http_proxy": f"http://{CLOSED_PORT}", "HTTP_PROXY": f"http://{CLOSED_PORT}"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, check=False
    )
    return done.returncode == 0


def test_the_health_check_asks_the_server(health_command: list[str], listening: str) -> None:
    assert is_healthy(health_command, listening.removeprefix("http://"))
    assert not is_healthy(health_command, CLOSED_PORT)


def test_compose_lets_the_server_do_little(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"mem_limit", "memswap_limit", "pids_limit"} <= set(service)
    assert "privileged" not in service
    assert [port.rsplit(":", 1)[0] for port in service["ports"]] == ["127.0.0.1:8000"]
    assert service["environment"]["FACEGPT_TOKEN"].startswith("${FACEGPT_TOKEN:?")


def test_compose_and_image_agree(
    compose: dict[str, Any],
    service: dict[str, Any],
    last_stage: dict[str, list[str]],
    health_command: list[str],
    project: Path,
) -> None:
    [volume] = service["volumes"]
    assert volume == f"data:{last_stage['VOLUME'][0]}"
    assert list(compose["volumes"]) == ["data"]
    assert f"FACEGPT_HOME={last_stage['VOLUME'][0]} " in last_stage["ENV"][0]
    assert service["healthcheck"]["test"] == ["CMD", *health_command]
    version = tomllib.loads((project / "pyproject.toml").read_text())["project"]["version"]
    assert service["image"] == f"facegpt:{version}"
    assert f'image.version="{version}"' in last_stage["LABEL"][0]
