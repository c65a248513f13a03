"""The virtual phone's shell: parsing, files within its root, faults that count."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortlab.devices.virtual.android.faults import CablePulled, CommandHangs, Faults, StorageFull
from ortlab.devices.virtual.android.file_commands import FileCommands
from ortlab.devices.virtual.android.filesystem import FileSystem, normalise
from ortlab.devices.virtual.android.services import CommandTable
from ortlab.devices.virtual.android.shell import Shell
from ortlab.devices.virtual.android.shell_language import ShellSyntaxError, parse
from ortlab.devices.virtual.android.shell_streams import Bytes
from ortlab.devices.virtual.android.text_commands import TextCommands


@pytest.fixture
def files(tmp_path: Path) -> FileSystem:
    return FileSystem(tmp_path / "root", 1 << 20, Faults())


def run(files: FileSystem, text: str, given_: bytes = b"") -> tuple[int, str, str]:
    """Return exit code, output and errors of a command line."""
    unmodelled: list[str] = []
    table = CommandTable(files, Faults, unmodelled.append)
    table.commands.update(FileCommands(files).table())
    table.commands.update(TextCommands(files).table())
    printed, failed = bytearray(), bytearray()

    async def out(data: bytes) -> None:
        printed.extend(data)

    async def error(data: bytes) -> None:
        failed.extend(data)

    shell = Shell(programs=table, number=42)
    code = asyncio.run(shell.run(text, Bytes(given_), out, error))
    return code, printed.decode(errors="surrogateescape"), failed.decode(errors="surrogateescape")


@pytest.mark.parametrize(
    ("text", "code", "printed"),
    [
        ("echo a 'b  c' \"d'e\" f\\ g", 0, "a b  c d'e f g\n"),
        ("echo '$x' \"$x\" \\$x", 0, "$x  $x\n"),
        ("x='a  b'; echo $x \"$x\"", 0, "a b a  b\n"),
        ("false; echo $?", 0, "1\n"),
        ("true && echo yes || echo no", 0, "yes\n"),
        ("false && echo yes || echo no", 0, "no\n"),
        ("! false && echo $?", 0, "0\n"),
        ("exit 7; echo never", 7, ""),
        ("(exit 3); echo $?", 0, "3\n"),
        ("(x=1); echo [$x]", 0, "[]\n"),
        ("{ x=1; }; echo $x", 0, "1\n"),
        ("echo ${x:-none} ${x-none} ${x:+set} ${#x}", 0, "none none 0\n"),
        ("x=a/b.c; echo ${x##*/} ${x%.c} ${x%%/*} ${x#a}", 0, "b.c a/b a /b.c\n"),
        ("echo $(echo a; echo b) \"$(echo 'c  d')\"", 0, "a b c  d\n"),
        ("for i in 1 2 '3 4'; do echo -n \"<$i>\"; done", 0, "<1><2><3 4>"),
        ("for i in 1 2 3; do [ $i = 2 ] && break; echo $i; done", 0, "1\n"),
        ("for i in 1 2 3; do [ $i = 2 ] && continue; echo $i; done", 0, "1\n3\n"),
        ("if [ -d /data ]; then echo d; else echo n; fi", 0, "d\n"),
        ("if false; then :; elif test 2 -gt 1; then echo e; fi", 0, "e\n"),
        ("i=a; while [ $i != aaa ]; do i=a$i; done; echo $i", 0, "aaa\n"),
        ("printf '%s-%d\\n' a 1 b 2; echo -n x", 0, "a-1\nb-2\nx"),
        ("echo a b | cat | tr a c | wc -c", 0, "4\n"),
        ("echo err >&2; cat /nothing 2>/dev/null; echo $?", 0, "1\n"),
        ("cat /nothing 2>&1", 1, "cat: /nothing: No such file or directory\n"),
        ("echo one > /sdcard/f; echo two >> /sdcard/f; cat < /sdcard/f", 0, "one\ntwo\n"),
        ("echo x # comment", 0, "x\n"),
        ("echo a;\necho b", 0, "a\nb\n"),
        ("echo /data/lo* /nothing*", 0, "/data/local /nothing*\n"),
        ("nosuch; echo $?", 0, "127\n"),
        ("x=1 echo done; echo [$x]", 0, "done\n[]\n"),
        ("mkdir -p /sdcard/a/b; cd /sdcard/a && ls", 0, "b\n"),
        (
            "echo hello | sha256sum",
            0,
            "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03  -\n",
        ),
        ("seq=1; exec echo $seq", 0, "1\n"),
    ],
)
def test_it_does_what_a_shell_does(files: FileSystem, text: str, code: int, printed: str) -> None:
    assert run(files, text)[:2] == (code, printed)


@pytest.mark.parametrize(
    "text",
    [
        *("echo 'a", 'echo "a', "(echo", "{ echo;", "if true; then echo", "&& a", "a |", "a > "),
        *("`ls`", "a & b", "for 1 in a; do :; done", "echo ${x:?y}", "echo $((1+1))", "a ;; b"),
        *(")", "cat <<E"),
    ],
)
def test_what_it_does_not_know_is_refused(files: FileSystem, text: str) -> None:
    with pytest.raises(ShellSyntaxError):
        parse(text)
    code, printed, failed = run(files, text)
    assert code != 0
    assert printed == ""
    assert failed.startswith("/system/bin/sh: ")


@given(st.text(alphabet=st.sampled_from(" \n\t;&|()<>\"'\\$`{}ab=#*?if then fi do done for in")))
def test_any_text_parses_or_is_refused(text: str) -> None:
    try:
        parse(text)
    except ShellSyntaxError:
        return


def test_deep_nesting_is_refused_without_exhausting_the_stack() -> None:
    for opening in ("(", "{ ", "$(", "if "):
        with pytest.raises(ShellSyntaxError):
            parse(opening * 5000)


def test_a_pipeline_ends_when_its_last_command_does(files: FileSystem) -> None:
    assert run(files, "while true; do echo y; done | head -n 0") == (0, "", "")


# ------------------------------------------------------------------------------ files


@given(st.text(alphabet=st.sampled_from("./a~\\ \0é"), max_size=30))
def test_no_path_leaves_the_root(tmp_path_factory: pytest.TempPathFactory, path: str) -> None:
    root = tmp_path_factory.getbasetemp() / "phone"
    files = FileSystem(root, 1 << 20, Faults())
    try:
        place = files.host_path(path)
    except OSError:
        return
    assert place == files.root or files.root in place.parents
    assert ".." not in normalise(path).split("/")


def test_symbolic_links_are_not_followed(files: FileSystem, tmp_path: Path) -> None:
    (files.root / "data/local/tmp/out").symlink_to(tmp_path)
    with pytest.raises(OSError, match="symbolic"):
        files.host_path("/data/local/tmp/out/secret")


def test_the_shell_user_writes_where_he_may(files: FileSystem) -> None:
    for path in ("/system/x", "/proc/x", "/x", "/data/data/x", "/data/local/x"):
        with pytest.raises(OSError, match=r"Permission denied|Read-only"):
            files.write(path, b"x")
    files.write("/data/local/tmp/x", b"x")
    files.write("/sdcard/x", b"y")
    assert files.read("/storage/emulated/0/x") == b"y"


def test_a_file_beyond_the_quota_does_not_fit(files: FileSystem) -> None:
    files.write("/sdcard/a", bytes(1 << 19))
    with pytest.raises(OSError, match="No space left"):
        files.write("/sdcard/b", bytes((1 << 19) + 1))
    files.remove("/sdcard/b")
    files.write("/sdcard/b", bytes(1 << 19))
    assert files.free_bytes() == 0


def test_apps_read_what_others_may_read(files: FileSystem) -> None:
    files.make_directory("/data/local/tmp/d", mode=0o755)
    files.write("/data/local/tmp/d/f", b"x")
    files.change_mode("/data/local/tmp/d/f", 0o644)
    assert files.readable_by_apps("/data/local/tmp/d/f")
    files.change_mode("/data/local/tmp/d/f", 0o640)
    assert not files.readable_by_apps("/data/local/tmp/d/f")
    files.change_mode("/data/local/tmp/d/f", 0o644)
    files.change_mode("/data/local/tmp/d", 0o750)
    assert not files.readable_by_apps("/data/local/tmp/d/f")


# ------------------------------------------------------------------------------ faults


def test_a_fault_acts_as_often_as_it_says() -> None:
    faults = Faults(StorageFull(path="a", times=2), CommandHangs(command="^am "))
    assert [bool(faults.take(StorageFull, path="xax")) for _ in range(3)] == [True, True, False]
    assert all(faults.take(CommandHangs, command="am start") for _ in range(5))
    assert faults.take(CommandHangs, command="pm list") is None
    assert faults.take(CablePulled) is None


def test_finding_a_fault_does_not_spend_it() -> None:
    fault = StorageFull()
    faults = Faults(fault)
    assert faults.find(StorageFull, path="x") is fault
    assert faults.spend(fault)
    assert not faults.spend(fault)
    assert faults.find(StorageFull, path="x") is None
