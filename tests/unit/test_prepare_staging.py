"""Names of prepared directories, what may be replaced, and appearing whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortlab.errors import StorageError, UsageError
from ortlab.prepare.cache import MANIFEST_FILE
from ortlab.prepare.staging import (
    check_destination,
    publish,
    safe_name,
    staged,
    storage_error,
    unique_names,
)

DEAD_PID = 2**22 + 7  # above the largest process id that Linux gives


@given(st.text())
def test_a_name_is_one_harmless_path_part(stem: str) -> None:
    name = safe_name(stem)
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}|model", name)
    assert Path("/out", name).parent == Path("/out")


@given(st.lists(st.text("ab/._é", min_size=1, max_size=6).filter(lambda t: "\0" not in t)))
def test_names_are_unique_even_where_case_does_not_count(texts: list[str]) -> None:
    models = [Path("/models", text.strip("/") or "x") for text in texts]
    names = unique_names(models)
    assert len({name.casefold() for name in names}) == len(models)
    assert all(name == safe_name(name) or re.search(r"-\d+$", name) for name in names)


def test_equal_stems_are_told_apart_by_their_folders() -> None:
    models = [Path("/m/a/net.onnx"), Path("/m/b/net.onnx"), Path("/m/b/other.onnx")]
    assert unique_names(models) == ("a_net", "b_net", "other")


def test_an_earlier_preparation_of_that_name_may_be_replaced(tmp_path: Path) -> None:
    directory = tmp_path / "net"
    check_destination(directory, "net")
    directory.mkdir()
    check_destination(directory, "net")
    (directory / MANIFEST_FILE).write_text(json.dumps({"name": "net", "variants": []}))
    check_destination(directory, "net")


@pytest.mark.parametrize(
    "content",
    [None, "{", "[]", '{"name": "net"}', '{"name": "other", "variants": []}'],
    ids=["none", "no json", "no object", "no preparation", "another model"],
)
def test_foreign_directories_are_refused(content: str | None, tmp_path: Path) -> None:
    directory = tmp_path / "net"
    directory.mkdir()
    (directory / "thesis.txt").write_text("three years of work")
    if content is not None:
        (directory / MANIFEST_FILE).write_text(content)
    with pytest.raises(UsageError, match=str(directory)):
        check_destination(directory, "net")
    assert (directory / "thesis.txt").read_text() == "three years of work"


def test_a_file_or_a_link_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("file", "link"):
        with pytest.raises(UsageError):
            check_destination(tmp_path / name, name)


def test_a_staged_directory_is_gone_after_a_failure(tmp_path: Path) -> None:
    def fail_half_way() -> None:
        with staged(tmp_path, "net") as directory:
            (directory / "half").write_text("x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_dead_processes_are_removed_and_of_living_ones_kept(tmp_path: Path) -> None:
    dead = tmp_path / f".net.{DEAD_PID}.abc"
    living = tmp_path / f".net.{os.getppid()}.abc"
    other = tmp_path / f".netting.{DEAD_PID}.abc"
    for path in (dead, living, other):
        path.mkdir()
    with staged(tmp_path, "net"):
        pass
    assert sorted(tmp_path.iterdir()) == sorted([living, other])


@pytest.mark.parametrize("before", [None, "old"])
def test_publishing_replaces_the_whole_directory(before: str | None, tmp_path: Path) -> None:
    destination = tmp_path / "net"
    if before:
        destination.mkdir()
        (destination / before).write_text("old")
    with staged(tmp_path, "net") as directory:
        (directory / "result").mkdir()
        (directory / "result" / "new").write_text("new")
        publish(directory / "result", destination)
    assert [path.name for path in tmp_path.iterdir()] == ["net"]
    assert [path.name for path in destination.iterdir()] == ["new"]


def test_a_refusal_of_the_system_says_what_helps() -> None:
    full = storage_error(OSError(errno.ENOSPC, "No space left on device"), "cannot write x")
    assert isinstance(full, StorageError)
    assert "No space left" in full.message
    assert "free some space" in (full.next_step or "")
    large = storage_error(OSError(errno.EFBIG, "File too large"), "cannot write x")
    assert "ulimit" in (large.next_step or "")
