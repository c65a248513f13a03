"""What the documents tell a reader to type can be typed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from ortlab.analysis.trust import RULES
from ortlab.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(
    (ROOT / "docs").rglob("*.md")
)
METHOD = ROOT / "docs" / "method.md"
SOURCES = [
    path.relative_to(ROOT)
    for folder in ("src", "benchmarks", "tests")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if "docs/method.md" in path.read_text()
]


def _program() -> TyperGroup:
    program = typer.main.get_command(app)
    assert isinstance(program, TyperGroup)
    return program


COMMANDS = _program().commands


def command_lines(path: Path) -> list[str]:
    """Return each ``ortlab …`` line of a document's code blocks, continued lines joined."""
    blocks = re.findall(
        r"^```(?:sh|console)?\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE
    )
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip().startswith("ortlab ")]


def parse(line: str) -> None:
    """Parse a command line without running it."""
    name, *arguments = shlex.split(line, comments=True)[1:]
    command = COMMANDS[name]
    command.make_context(name, arguments)


LINES = [(str(path.relative_to(ROOT)), line) for path in DOCUMENTS for line in command_lines(path)]


@pytest.mark.parametrize(("document", "line"), LINES)
def test_a_shown_command_line_means_something(document: str, line: str) -> None:
    assert document
    parse(line)


def test_a_wrong_line_would_be_found() -> None:
    for line in ("ortlab bench x --no-such-option", "ortlab prepare", "ortlab gate run"):
        with pytest.raises(typer.TyperException):
            parse(line)
    with pytest.raises(KeyError):
        parse("ortlab no-such-command")


def test_the_readme_shows_every_command() -> None:
    table = re.findall(r"^\| `ortlab ([a-z]+)", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert sorted(table) == sorted(COMMANDS)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text())
    broken = [link for link in links if "://" not in link and not (path.parent / link).exists()]
    assert broken == []


def test_the_method_lists_the_rules_of_trust() -> None:
    listed = re.findall(r"^\| `(\w+)`: (.*) \| (\S+) \|$", METHOD.read_text(), re.MULTILINE)
    assert listed == [(rule.name, rule.meaning, rule.grade.value) for rule in RULES]


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_a_section_of_the_method_that_code_cites_exists(path: Path) -> None:
    cited = re.findall(r'`docs/method\.md`, "([^"]*)"', (ROOT / path).read_text())
    sections = re.findall(r"^## (.*)$", METHOD.read_text(), re.MULTILINE)
    assert set(cited) <= set(sections)


def test_every_decision_is_listed_once() -> None:
    directory = ROOT / "docs" / "adr"
    index = (directory / "README.md").read_text()
    decisions = sorted(path.name for path in directory.glob("[0-9]*.md"))
    assert decisions
    assert re.findall(r"\]\((\d[^)]*)\)", index) == decisions
