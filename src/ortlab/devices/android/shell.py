"""Commands on a phone: their output as it comes, and always their exit code.

Source of the framing: AOSP `packages/modules/adb/shell_protocol.h`: one byte kind, four bytes
length (little-endian), payload. Phones without it answer plain bytes; there the exit code follows
a marker that no output can guess.
"""

from __future__ import annotations

import re
import secrets
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ortlab.devices.android.channel import Channel
from ortlab.devices.android.quoting import quoted

OutputListener = Callable[[bytes], None]

KEPT_OUTPUT_BYTES: Final = 16 << 20
"""Of each of the two outputs, this much of the end is kept."""

_STDIN, _STDOUT, _STDERR, _EXIT, _CLOSE_STDIN = range(5)
_HEADER = struct.Struct("<BI")
_STDIN_CHUNK_BYTES = 1 << 16
_MAXIMUM_PACKET_BYTES = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ShellResult:
    """What became of a command.

    Attributes:
        exit_code: As the phone's shell tells it; 128 + n for signal n.
        stdout: At most the last 16 MiB; what is no UTF-8 is replaced. Where the phone's shell
            cannot keep the two apart, both are here.
        stderr: Likewise.
    """

    exit_code: int
    stdout: str
    stderr: str


class _Kept:
    """The end of an output."""

    def __init__(self) -> None:
        self._data = bytearray()

    def add(self, data: bytes) -> None:
        self._data += data
        if len(self._data) > 2 * KEPT_OUTPUT_BYTES:
            del self._data[:-KEPT_OUTPUT_BYTES]

    def text(self) -> str:
        return bytes(self._data[-KEPT_OUTPUT_BYTES:]).decode(errors="replace")


class _Packets:
    """Cuts what arrives into packets."""

    def __init__(self) -> None:
        self._data = bytearray()

    def add(self, data: bytes) -> None:
        self._data += data

    def next(self) -> tuple[int, bytes] | None:
        if len(self._data) < _HEADER.size:
            return None
        kind, size = _HEADER.unpack_from(self._data)
        if kind > _CLOSE_STDIN + 1 or size > _MAXIMUM_PACKET_BYTES:
            message = "the phone's shell answered something else than packets"
            raise EOFError(message)
        end = _HEADER.size + size
        if len(self._data) < end:
            return None
        payload = bytes(self._data[_HEADER.size : end])
        del self._data[:end]
        return kind, payload


def run_with_packets(
    channel: Channel, *, on_output: OutputListener | None, input_bytes: bytes | None
) -> ShellResult:
    """Follow a command on a ``shell,v2`` service to its end.

    Args:
        channel: Open on the service.
        on_output: Gets standard output as it comes.
        input_bytes: What the command reads; nothing if None.

    Raises:
        EOFError: The connection ended before the exit code.
    """
    stdout, stderr, packets = _Kept(), _Kept(), _Packets()
    outgoing = memoryview(_stdin_packets(input_bytes or b""))
    while True:
        readable, writable = channel.wait(writing=bool(outgoing))
        if writable and outgoing:
            try:
                outgoing = outgoing[channel.send_some(outgoing) :]
            except (BrokenPipeError, ConnectionResetError):  # its end may already be told
                outgoing = outgoing[:0]
        if not readable:
            continue
        data = channel.read_some()
        packets.add(data)
        while packet := packets.next():
            kind, payload = packet
            if kind == _STDOUT:
                stdout.add(payload)
                if on_output is not None:
                    on_output(payload)
            elif kind == _STDERR:
                stderr.add(payload)
            elif kind == _EXIT and payload:
                return ShellResult(exit_code=payload[0], stdout=stdout.text(), stderr=stderr.text())
        if not data:
            message = "the connection ended before the command did"
            raise EOFError(message)


def _stdin_packets(data: bytes) -> bytes:
    packets = bytearray()
    for start in range(0, len(data), _STDIN_CHUNK_BYTES):
        chunk = data[start : start + _STDIN_CHUNK_BYTES]
        packets += _HEADER.pack(_STDIN, len(chunk)) + chunk
    return bytes(packets) + _HEADER.pack(_CLOSE_STDIN, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedCommand:
    """A command for a shell that tells no exit code.

    Attributes:
        text: What the shell gets.
        marker: What stands before the exit code, after all output.
    """

    text: str
    marker: bytes


def with_exit_marker(command: str, *, input_path: str = "/dev/null") -> MarkedCommand:
    """Return a command that tells its exit code at the end of its output.

    The command runs in a shell of its own, so that an `exit` in it does not pass over the marker.

    Args:
        command: A line for the phone's shell.
        input_path: File on the phone that the command reads on standard input.
    """
    marker = f"<exit {secrets.token_hex(16)} "
    text = f"(\n{command}\n) <{quoted(input_path)} 2>&1; echo '{marker}'$?'>'"
    return MarkedCommand(text=text, marker=marker.encode())


def run_with_marker(
    channel: Channel, marker: bytes, *, on_output: OutputListener | None
) -> ShellResult:
    """Follow a :class:`MarkedCommand` on a plain ``shell`` service to its end.

    Raises:
        EOFError: The connection ended before the exit code.
    """
    kept, pending = _Kept(), bytearray()

    def give(data: bytes) -> None:
        kept.add(data)
        if data and on_output is not None:
            on_output(data)

    while data := channel.read_some():
        pending += data
        found = pending.find(marker)
        # What could still turn out to be the marker's beginning is held back.
        safe = found if found >= 0 else max(0, len(pending) - len(marker) + 1)
        give(bytes(pending[:safe]))
        del pending[:safe]
    match = re.fullmatch(re.escape(marker) + rb"(\d+)>\s*", bytes(pending))
    if match is None:
        message = "the connection ended before the command did"
        raise EOFError(message)
    return ShellResult(exit_code=int(match[1]), stdout=kept.text(), stderr="")
