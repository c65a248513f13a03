"""The virtual phone's shell beside the shell of this machine."""

from __future__ import annotations

import asyncio
import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ortlab.devices.android.quoting import command_line
from ortlab.devices.virtual.android.faults import Faults
from ortlab.devices.virtual.android.file_commands import FileCommands
from ortlab.devices.virtual.android.filesystem import FileSystem
from ortlab.devices.virtual.android.services import CommandTable
from ortlab.devices.virtual.android.shell import Shell
from ortlab.devices.virtual.android.shell_streams import Nothing
from ortlab.devices.virtual.android.text_commands import TextCommands

PLAIN = st.text(st.sampled_from("ab=~%+,./:@-_é"), min_size=1, max_size=4)
ANY = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=12)
SINGLE = ANY.map(lambda text: "'" + text.replace("'", "") + "'")
DOUBLE = st.lists(
    st.sampled_from(
        ["a", " ", "\\$", "\\\\", '\\"', "'", "\\x", "$x", "${x}", "${none:-d e}", "$?"],
    )
).map(lambda parts: '"' + "".join(parts) + '"')
ESCAPED = st.sampled_from(list(" $'\"\\;|&<>()*#a")).map(lambda character: "\\" + character)
PARAMETER = st.sampled_from(["$x", "${x}", "$none", "${none:-a b}", "${x:+y}", "${#x}", "${x%b*}"])
WORD = st.lists(st.one_of(PLAIN, SINGLE, DOUBLE, ESCAPED, PARAMETER), min_size=1, max_size=4).map(
    "".join
)
COMMAND = st.lists(WORD, min_size=1, max_size=4).map(
    lambda words: "printf '<%s>' " + " ".join(words)
)
JOINT = st.sampled_from([" ; ", " && ", " || ", "; false || ", "; true && ", "; ! true || "])


def ours(text: str, directory: Path) -> tuple[int, bytes]:
    files = FileSystem(directory / "phone", 1 << 20, Faults())
    table = CommandTable(files, Faults, lambda _: None)
    table.commands.update(FileCommands(files).table())
    table.commands.update(TextCommands(files).table())
    printed = bytearray()

    async def out(data: bytes) -> None:
        printed.extend(data)

    shell = Shell(programs=table)
    return asyncio.run(shell.run(text, Nothing(), out, out)), bytes(printed)


def theirs(text: str) -> tuple[int, bytes]:
    done = subprocess.run(["sh", "-c", text], capture_output=True, timeout=20)
    return done.returncode, done.stdout + done.stderr


@settings(
    max_examples=250,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(COMMAND, min_size=1, max_size=3), st.lists(JOINT, min_size=3, max_size=3))
def test_quoting_and_lists_are_those_of_a_real_shell(
    tmp_path: Path, commands: list[str], joints: list[str]
) -> None:
    text = "x='a b'; HOME=/h; "
    for command, joint in zip(commands, joints, strict=False):
        text += command + joint
    text += "printf '<%s>' $?"
    assert ours(text, tmp_path) == theirs(text)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ANY, min_size=1, max_size=5))
def test_what_adb_is_given_quoted_arrives_as_it_was(tmp_path: Path, words: list[str]) -> None:
    expected = "".join(f"<{word}>" for word in words).encode()
    for quote in (shlex.join, command_line):
        assert ours(f"printf '<%s>' {quote(words)}", tmp_path) == (0, expected)


@pytest.mark.parametrize(
    "text",
    [
        "for i in a 'b c'; do printf '<%s>' $i \"$i\"; done",
        "x=1; (x=2; printf $x); printf $x",
        "x=$(printf 'a\\n\\n'); printf '<%s>' \"$x\"",
        "i=; while [ \"$i\" != aaa ]; do i=a$i; done; printf '%s' $i",
        "if false; then printf a; elif true; then printf b; else printf c; fi",
        "printf 'b\\na\\nc\\n' | sort | head -n 2",
        "printf 'one two\\n' | grep -c two; printf 'x' | grep -q y; printf $?",
        "HOME='/a b'; printf '<%s>' ~ ~/x ~a a~ '~' \\~ ~'/x' ~\"\" a=~",
        "f=/a/b.tar.gz; printf '%s ' ${f##*/} ${f%.*} ${f%%.*} ${f#/}",
        "{ printf a; printf b >&2; } 2>/dev/null; exit 4",
        'set -- ; printf "$#"',
        "test a = a -o b; printf $?; [ -n '' ]; printf $?; [ 3 -ge 2 ]; printf $?",
    ],
)
def test_programs_do_what_they_do_there(tmp_path: Path, text: str) -> None:
    assert ours(text, tmp_path) == theirs(text)
