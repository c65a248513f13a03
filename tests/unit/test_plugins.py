"""What other packages say of their commands is read as the packaging tools wrote it."""

from __future__ import annotations

import string
from importlib.metadata import DistributionFinder, MetadataPathFinder
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ortlab.cli.plugins import GROUP, entry_points

WORDS = st.text(string.ascii_lowercase + string.digits + "_", min_size=1, max_size=8).map(
    "x".__add__
)
TARGETS = st.builds("{}.{}:{}".format, WORDS, WORDS, WORDS)
ENTRIES = st.dictionaries(WORDS, TARGETS, max_size=4)


def install(directory: Path, name: str, text: str) -> None:
    information = directory / f"{name}-1.dist-info"
    information.mkdir(parents=True, exist_ok=True)
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (information / "entry_points.txt").write_text(text)


def by_the_standard_library(directory: Path) -> dict[str, str]:
    context = DistributionFinder.Context(path=[str(directory)])
    return {
        entry.name: entry.value
        for found in MetadataPathFinder.find_distributions(context)
        for entry in found.entry_points.select(group=GROUP)
    }


@given(
    groups=st.dictionaries(st.sampled_from([GROUP, "console_scripts", "ortlab"]), ENTRIES),
    equals=st.sampled_from(["=", " = ", "  ="]),
    between=st.sampled_from(["", "\n", "# lab = other:app\n"]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_entry_points_are_read_as_the_standard_library_does(
    tmp_path: Path, groups: dict[str, dict[str, str]], equals: str, between: str
) -> None:
    sections = [
        between.join([f"[{group}]\n", *(f"{n}{equals}{target}\n" for n, target in entries.items())])
        for group, entries in groups.items()
    ]
    install(tmp_path, "more", between.join(sections))
    expected = by_the_standard_library(tmp_path)
    assert entry_points([str(tmp_path)]) == expected == groups.get(GROUP, {})


def test_the_first_on_the_search_path_counts(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        install(tmp_path / folder, "more", f"[{GROUP}]\nmore = {folder}:app [extra]\n")
    path = [str(tmp_path / "nowhere"), str(tmp_path / "one"), str(tmp_path / "two")]
    assert entry_points(path) == {"more": "one:app"}


def test_a_search_path_may_name_the_directory_at_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "more", f"[{GROUP}]\nmore = more_plugin:app\n")
    monkeypatch.chdir(tmp_path)
    assert entry_points([""]) == {"more": "more_plugin:app"}
