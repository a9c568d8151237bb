"""What the README and the manual say is so: code runs, files exist, links lead somewhere."""

import os
import re
import tomllib
from pathlib import Path

import pytest

TREE_LINE = re.compile(r"^(?P<indent> *)(?P<path>[\w./-]+)\s{2,}\S")


def readme(project: Path) -> str:
    return (project / "README.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_every_python_block_runs(project: Path) -> None:
    scope: dict[str, object] = {}
    found = blocks(readme(project), "python")
    assert found
    for block in found:
        exec(block, scope)


def test_every_path_of_the_file_tree_exists(project: Path) -> None:
    [tree] = blocks(readme(project), "text")
    folder = project
    listed = []
    for line in tree.splitlines():
        match = TREE_LINE.match(line)
        assert match, f"not a line of a file tree: {line!r}"
        if not match["indent"]:
            folder = project / match["path"] if match["path"].endswith("/") else project
            listed.append(project / match["path"])
        else:
            listed.append(folder / match["path"])
    missing = [str(path.relative_to(project)) for path in listed if not path.exists()]
    assert not missing


def test_the_file_tree_forgets_no_part_of_the_package(project: Path) -> None:
    [tree] = blocks(readme(project), "text")
    package = project / "src" / "facegpt"
    parts = [f"{path.name}/" for path in package.iterdir() if (path / "__init__.py").exists()]
    assert not [part for part in parts if f"  {part} " not in tree]


@pytest.mark.parametrize(
    "document", ["README.md", "CONTRIBUTING.md", "MODEL_CARD.md", "docs/index.md"]
)
def test_every_local_link_leads_to_a_file(project: Path, document: str) -> None:
    text = (project / document).read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#:]+)\)", text)
    missing = [t for t in targets if not (project / document).parent.joinpath(t).exists()]
    assert not missing


def test_every_make_target_that_is_mentioned_exists(project: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (project / "Makefile").read_text(), re.MULTILINE))
    documents = [project / "README.md", project / "CONTRIBUTING.md", *project.glob("docs/*.md")]
    for document in documents:
        text = document.read_text(encoding="utf-8")
        mentioned = set(re.findall(r"`make ([a-z-]+)", text)) | set(
            re.findall(r"^\$ make ([a-z-]+)", text, re.MULTILINE)
        )
        assert mentioned <= targets, document


def test_the_version_is_the_same_everywhere(project: Path) -> None:
    import facegpt

    version = tomllib.loads((project / "pyproject.toml").read_text())["project"]["version"]
    assert facegpt.__version__ == version
    assert f"version: {version}" in (project / "CITATION.cff").read_text()
    assert version in (project / "CHANGELOG.md").read_text()


def test_versions_that_the_manual_installs_are_those_we_test_with(project: Path) -> None:
    pinned = (project / "constraints.txt").read_text(encoding="utf-8").splitlines()
    named = re.findall(r"[\w-]+==[\w.]+", (project / "docs" / "install.md").read_text("utf-8"))
    assert named
    assert set(named) <= set(pinned)


def test_continuous_integration_can_be_started(project: Path) -> None:
    script = project / ".ci" / "run"
    assert os.access(script, os.X_OK)
    lines = script.read_text().splitlines()
    assert "set -euo pipefail" in lines
    assert lines.index("make lint") < lines.index("make test")
