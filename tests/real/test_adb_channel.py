"""Shell text, exit codes and deadlines over real shells and real sockets, without a phone."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ortlab.devices.android.channel import Channel, Deadline, DeadlineSocket
from ortlab.devices.android.quoting import Raw, command_line
from ortlab.devices.android.shell import (
    ShellResult,
    run_with_marker,
    run_with_packets,
    with_exit_marker,
)

HOSTILE = [
    "it's",
    '"',
    "$(reboot)",
    "`reboot`",
    "${HOME}",
    "a\nb",
    "a;b",
    "-rf",
    "--",
    "🙂 é",
    "%s%n",
    "\\",
    "\\n",
    "!x",
    "~root",
    "*",
    "a=b",
    "#x",
    "",
    " ",
    "\t",
    "if",
    "'",
    "''",
    "&",
    "|",
    "<x",
    "\x7f\x01",
    "{a,b}",
    "[ab]",
]
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"))


@given(st.lists(TEXT | st.sampled_from(HOSTILE), min_size=1, max_size=20))
@example(HOSTILE)
@settings(max_examples=150)
def test_every_argument_comes_through_a_real_shell_as_it_is(arguments: list[str]) -> None:
    line = command_line(("printf", "%s\\0", *arguments, Raw(";"), "echo", Raw("end")))
    for shell in ("sh", "bash"):
        ended = subprocess.run([shell, "-c", line], capture_output=True, check=True)
        assert ended.stdout == b"".join(text.encode() + b"\0" for text in arguments) + b"end\n"
        assert ended.stderr == b""


@pytest.mark.parametrize("word", HOSTILE)
def test_a_hostile_name_in_the_place_of_a_command_runs_nothing(word: str) -> None:
    ended = subprocess.run(["sh", "-c", command_line((word,))], capture_output=True, cwd="/proc")
    assert ended.returncode in {126, 127}
    assert ended.stdout == b""


# ---------------------------------------------------------------- channels


@contextlib.contextmanager
def channel_to(deadline_s: float) -> Iterator[tuple[Channel, socket.socket]]:
    ours, theirs = socket.socketpair()
    connection = DeadlineSocket(ours, Deadline(deadline_s))
    with theirs, Channel(connection, connection.close) as channel:
        yield channel, theirs


@contextlib.contextmanager
def peer(act: threading.Thread) -> Iterator[None]:
    act.start()
    try:
        yield
    finally:
        act.join(10)
        assert not act.is_alive()


def shell_into(output: socket.socket, text: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sh", "-c", text], stdout=output.fileno(), stderr=output.fileno())


def run_marked(command: str, **options: str) -> tuple[ShellResult, bytes]:
    marked, heard = with_exit_marker(command, **options), bytearray()
    with channel_to(20) as (channel, theirs):
        shell = shell_into(theirs, marked.text)
        theirs.close()
        result = run_with_marker(channel, marked.marker, on_output=heard.extend)
        assert shell.wait(10) == 0
    return result, bytes(heard)


@pytest.mark.parametrize(
    ("command", "exit_code", "output"),
    [
        ("true", 0, b""),
        ("exit 7", 7, b""),
        ("printf 'no newline'", 0, b"no newline"),
        ("echo a; echo b >&2; false", 1, b"a\nb\n"),
        ("printf '<exit 0>'; exit 3", 3, b"<exit 0>"),
        ("printf '<exit '; kill -9 $$", None, b""),
        ("{ sh -c 'kill -9 $$'; } 2>/dev/null", 137, b""),
        ("echo x # a comment", 0, b"x\n"),
        ("head -c 300000 /dev/zero", 0, bytes(300_000)),
        ("cat", 0, b""),
        ("printf '\\377\\376'", 0, b"\xff\xfe"),
    ],
)
def test_the_exit_code_comes_through_any_output(
    command: str, exit_code: int | None, output: bytes
) -> None:
    if exit_code is None:  # the shell itself is gone: that is never taken for success
        marked = with_exit_marker(command)
        with channel_to(20) as (channel, theirs):
            shell = shell_into(theirs, marked.text)
            theirs.close()
            with pytest.raises(EOFError):
                run_with_marker(channel, marked.marker, on_output=None)
            assert shell.wait(10) == -9
        return
    result, heard = run_marked(command)
    assert result.exit_code == exit_code
    assert heard == output
    assert result.stdout == output.decode(errors="replace")


def test_input_of_a_phone_without_packets_comes_from_a_file(tmp_path: os.PathLike[str]) -> None:
    path = os.path.join(tmp_path, "it's input")  # noqa: PTH118
    with open(path, "wb") as file:  # noqa: PTH123
        file.write(b"\0\1\2")
    result, heard = run_marked("cat; exit 4", input_path=path)
    assert (result.exit_code, heard) == (4, b"\0\1\2")


PACKETS = st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=3000)), max_size=8)


@given(PACKETS, st.integers(0, 255), st.lists(st.integers(1, 2000), max_size=20))
@settings(max_examples=60)
def test_packets_are_read_however_they_are_cut(
    packets: list[tuple[int, bytes]], exit_code: int, cuts: list[int]
) -> None:
    stream = b"".join(struct.pack("<BI", kind, len(data)) + data for kind, data in packets)
    stream += struct.pack("<BIB", 3, 1, exit_code)
    heard = bytearray()
    with channel_to(20) as (channel, theirs):

        def answer() -> None:
            start = 0
            for size in cuts:
                theirs.sendall(stream[start : start + size])
                start += size
            theirs.sendall(stream[start:])

        with peer(threading.Thread(target=answer)):
            result = run_with_packets(channel, on_output=heard.extend, input_bytes=None)
    told = [b"".join(data for kind, data in packets if kind == wanted) for wanted in (1, 2)]
    assert bytes(heard) == told[0]
    assert [result.stdout, result.stderr] == [part.decode(errors="replace") for part in told]
    assert result.exit_code == exit_code


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        b"\x01\x05\0\0\0ab",
        struct.pack("<BI", 1, 2) + b"ab",
        b"HTTP/1.1 400 Bad Request\r\n",
        struct.pack("<BI", 1, 1 << 31),
    ],
)
def test_an_end_without_an_exit_code_is_no_success(stream: bytes) -> None:
    with channel_to(20) as (channel, theirs):
        theirs.sendall(stream)
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(EOFError):
            run_with_packets(channel, on_output=None, input_bytes=None)


def test_input_and_output_flow_at_once() -> None:
    """A command that answers while it is still being sent to would block one that only sends."""
    content = os.urandom(3_000_000)

    def echo(theirs: socket.socket) -> None:
        with theirs.makefile("rb") as arriving:
            while True:
                kind, size = struct.unpack("<BI", arriving.read(5))
                if kind == 4:
                    theirs.sendall(struct.pack("<BIB", 3, 1, 0))
                    return
                theirs.sendall(struct.pack("<BI", 1, size) + arriving.read(size))

    heard = bytearray()
    with channel_to(30) as (channel, theirs), peer(threading.Thread(target=echo, args=[theirs])):
        run_with_packets(channel, on_output=heard.extend, input_bytes=content)
    assert bytes(heard) == content


# ---------------------------------------------------------------- deadlines


def test_a_deadline_ends_a_call_whose_other_side_keeps_talking() -> None:
    stop = threading.Event()

    def drip(theirs: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while not stop.wait(0.01):
                theirs.sendall(struct.pack("<BI", 1, 1) + b".")

    with channel_to(0.3) as (channel, theirs):
        talking = threading.Thread(target=drip, args=[theirs])
        with peer(talking):
            began = time.monotonic()
            with pytest.raises(TimeoutError):
                run_with_packets(channel, on_output=None, input_bytes=None)
            assert time.monotonic() - began < 5
            assert talking.is_alive()  # it was not the end of the talk that ended the call
            stop.set()


def test_a_deadline_ends_every_kind_of_waiting() -> None:
    with channel_to(0.2) as (channel, _):
        waits = (
            lambda: channel.read_exactly(1),
            channel.read_to_end,
            lambda: channel.send_until_answer([bytes(1 << 24)]),
            lambda: channel.send(bytes(1 << 24)),
            lambda: channel.wait(writing=False),
        )
        for wait in waits:
            with pytest.raises(TimeoutError):
                wait()


def test_sending_stops_when_the_other_side_answers_early() -> None:
    with channel_to(20) as (channel, theirs):
        taken = iter(bytes(1 << 16) for _ in range(10_000))
        theirs.sendall(b"full")
        assert not channel.send_until_answer(taken)
        assert channel.read_exactly(4) == b"full"
        assert sum(1 for _ in taken) > 9_000


def test_sending_to_one_that_is_gone_is_told_by_reading() -> None:
    with channel_to(20) as (channel, theirs):
        theirs.close()
        assert not channel.send_until_answer([b"x"] * 1000)
        with pytest.raises((EOFError, ConnectionResetError)):
            channel.read_exactly(1)
