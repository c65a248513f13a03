"""A heavy dependency has one importing package, and is imported where it is used."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import ortlab

PACKAGE = Path(ortlab.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))

# Package → the parts of ortlab that may import it; a part is a module or a package, by its path.
OWNERS = {
    "adbutils": {"devices"},
    "altair": {"report"},
    "flatbuffers": {"prepare"},
    "hatchling": set(),
    "jinja2": {"report", "scaffold"},
    "onnx": {"prepare"},
    "onnx_ir": {"prepare"},
    "onnxruntime": {"prepare", "runner"},
    "onnxruntime_extensions": set(),
    "pandas": {"report"},
    "playwright": {"devices/web/worker"},
    "pyarrow": {"report"},
    "pydantic": {"codec", "config"},
    "pymobiledevice3": {"devices/ios/worker"},
    "rich": {"cli"},
    "scipy": {"statistics", "analysis"},
    "typer": {"cli"},
    "vl_convert": {"report"},
}
HEAVY = {*OWNERS, "numpy"} - {"typer", "rich"}  # numpy: anywhere, but not at the top
AT_THE_TOP = {
    "cli": {"typer", "rich"},
    "runner": {"numpy"},  # copied alone to a board; it always needs both
}


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def is_part(path: Path, owners: set[str]) -> bool:
    inside = path.with_suffix("")
    return any(inside.is_relative_to(owner) for owner in owners)


def imports(node: ast.AST, *, lazy: bool = False) -> Iterator[tuple[str, bool]]:
    """Yield each imported package with whether a function or a type check guards it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((alias.name.split(".")[0], lazy) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield (child.module or "").split(".")[0], lazy
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from ((name, True) for name, _ in imports(child))
        else:
            inner = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from imports(child, lazy=lazy or inner)


def all_imports() -> Iterator[tuple[Path, str, bool]]:
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for name, lazy in imports(tree):
            yield path.relative_to(PACKAGE), name, lazy


def test_each_dependency_is_imported_by_its_owner_alone() -> None:
    found = defaultdict(set)
    for path, name, _ in all_imports():
        if name in OWNERS and not is_part(path, OWNERS[name]):
            found[name].add(str(path))
    assert dict(found) == {}


def test_heavy_dependencies_are_imported_inside_functions() -> None:
    found = {
        (str(path), name)
        for path, name, lazy in all_imports()
        if name in HEAVY and not lazy and name not in AT_THE_TOP.get(part_of(PACKAGE / path), ())
    }
    assert found == set()


def test_the_reader_of_imports_sees_what_it_must() -> None:
    source = """
import pandas.io
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import scipy
class A:
    import numpy
    def f(self):
        from onnx import helper
try:
    import altair as alt
except ImportError:
    pass
"""
    assert sorted(imports(ast.parse(source))) == [
        ("altair", False),
        ("numpy", False),
        ("onnx", True),
        ("pandas", False),
        ("scipy", True),
        ("typing", False),
    ]
