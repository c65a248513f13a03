"""The tree that `errors.py` draws is the tree there is; nobody raises its root."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

import ortlab
from ortlab import errors
from ortlab.errors import BUG_EXIT_CODE, OrtlabError

FAMILIES = OrtlabError.__subclasses__()
SOURCES = sorted(Path(ortlab.__file__).parent.rglob("*.py"))


def test_the_drawn_tree_is_the_real_one() -> None:
    drawn = re.findall(r"[├└]── (\w+)\s+(\d+)", inspect.getdoc(errors) or "")
    real = [(family.__name__, str(family.exit_code)) for family in FAMILIES]
    assert drawn == real


def test_every_family_has_an_exit_code_of_its_own() -> None:
    codes = [family.exit_code for family in FAMILIES]
    assert len({0, 1, BUG_EXIT_CODE, *codes}) == 3 + len(codes)
    assert all(0 < code < 256 for code in codes)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_an_error_carries_what_helps(family: type[OrtlabError]) -> None:
    log = Path("tool.log")
    error = family("cannot read x: it is empty", next_step="ortlab doctor", log_path=log)
    assert str(error) == error.message == "cannot read x: it is empty"
    assert (error.next_step, error.log_path) == ("ortlab doctor", log)
    assert (family("m").next_step, family("m").log_path) == (None, None)


def raised_names(path: Path) -> set[str]:
    """Names of the exceptions that a module raises by calling them."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = [
        node.exc
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)
    ]
    return {ast.unparse(call.func) for call in calls}


def test_nobody_raises_the_root_or_something_too_broad() -> None:
    broad = {"OrtlabError", "errors.OrtlabError", "Exception", "BaseException"}
    found = {str(path): raised_names(path) & broad for path in SOURCES}
    assert {path: names for path, names in found.items() if names} == {}
