"""What adb can open on the phone: shells, commands with their bytes, files, forwards."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import struct
from collections.abc import Callable
from typing import Final

from ortlab.devices.virtual.android.faults import CommandFails, CommandHangs, Faults
from ortlab.devices.virtual.android.filesystem import FileSystem
from ortlab.devices.virtual.android.shell import Call, Program, Shell
from ortlab.devices.virtual.android.shell_streams import Bytes
from ortlab.devices.virtual.android.sync import SyncService
from ortlab.devices.virtual.android.transport import Service, Stream, StreamClosedError

_SHELL_PACKET: Final = struct.Struct("<BI")
_STDIN, _STDOUT, _STDERR, _EXIT, _CLOSE_STDIN = 0, 1, 2, 3, 4
_FIRST_SHELL: Final = 5000


class CommandTable:
    """The commands of one phone, with the faults that concern them.

    Args:
        files: The phone's.
        faults: Asked at each command.
        note_unmodelled: Told of commands that are not known here.
    """

    def __init__(
        self,
        files: FileSystem,
        faults: Callable[[], Faults],
        note_unmodelled: Callable[[str], None],
    ) -> None:
        self.files = files
        self.commands: dict[str, Program] = {}
        self._faults = faults
        self._note_unmodelled = note_unmodelled

    def find(self, name: str, line: str) -> Program | None:
        """See :class:`ortlab.devices.virtual.android.shell.Programs`."""
        if self._faults().take(CommandHangs, command=line):
            return _never
        failure = self._faults().take(CommandFails, command=line)
        if failure is not None:
            return _failing(failure)
        program = self.commands.get(name)
        if program is None and name == "command":
            return self._command
        if program is None:
            self._note_unmodelled(line)
        return program

    async def _command(self, call: Call) -> int:
        known = [name for name in call.arguments if name in self.commands]
        for name in known:
            await call.say(f"/system/bin/{name}")
        return 0 if known else 1


async def _never(call: Call) -> int:
    del call
    await asyncio.Event().wait()
    return 1


def _failing(fault: CommandFails) -> Program:
    async def command(call: Call) -> int:
        return await call.fail(fault.message, fault.exit_code)

    return command


class ServiceTable:
    """Opens services by name.

    Args:
        files: The phone's.
        table: Its commands.
        features: That its adbd announces.
        keeps_partial: Whether a file that was being received stays; asked when the cable goes.
        local_services: Abstract socket name to what serves it.
    """

    def __init__(
        self,
        files: FileSystem,
        table: CommandTable,
        features: frozenset[str],
        keeps_partial: Callable[[Stream], bool],
    ) -> None:
        self._files = files
        self._table = table
        self._features = features
        self._keeps_partial = keeps_partial
        self._reverses: dict[str, str] = {}
        self._shells = _FIRST_SHELL
        self.local_services: dict[str, Service] = {}

    def open(self, name: str) -> Service | None:
        """Return what serves a stream of this name, or None to refuse it."""
        kind, _, rest = name.partition(":")
        words = kind.split(",")
        if words[0] == "shell":
            framed = "v2" in words and "shell_v2" in self._features
            return lambda stream: self._shell(stream, rest, framed=framed)
        if kind == "exec":
            return lambda stream: self._shell(stream, rest, framed=False)
        if kind in ("abb", "abb_exec") and kind in self._features:
            command = shlex.join(["cmd", *rest.split("\0")])
            return lambda stream: self._shell(stream, command, framed=kind == "abb")
        if kind == "sync":
            return self._sync
        if kind == "reverse":
            return lambda stream: self._reverse(stream, rest)
        if kind in ("localabstract", "tcp"):
            return self.local_services.get(f"{kind}:{rest}")
        if kind in ("root", "unroot", "remount"):
            return _refuse_root
        return None

    async def _sync(self, stream: Stream) -> None:
        await SyncService(self._files, stream, lambda: self._keeps_partial(stream)).serve()

    async def _shell(self, stream: Stream, command: str, *, framed: bool) -> None:
        self._shells += 1
        home = {"HOME": "/"}
        shell = Shell(programs=self._table, number=self._shells, variables=home)
        source = _FramedSource(stream) if framed else _RawSource(stream)

        async def out(data: bytes) -> None:
            await self._send(stream, _STDOUT, data, framed=framed)

        async def error(data: bytes) -> None:
            await self._send(stream, _STDERR, data, framed=framed)

        if not command:
            command = (await _interactive(source)).decode("utf-8", "surrogateescape")
        running = asyncio.ensure_future(shell.run(command, source, out, error))
        closing = asyncio.ensure_future(stream.wait_closed())
        try:
            await asyncio.wait({running, closing}, return_when=asyncio.FIRST_COMPLETED)
            if not running.done():  # whoever asked is gone: the system ends what he started
                return
            code = running.result()
        finally:
            for task in (running, closing):
                task.cancel()
            await asyncio.gather(running, closing, return_exceptions=True)
        if framed:
            await stream.write(_SHELL_PACKET.pack(_EXIT, 1) + bytes([code & 0xFF]))

    async def _send(self, stream: Stream, kind: int, data: bytes, *, framed: bool) -> None:
        if not data:
            return
        if not framed:
            await stream.write(data)
            return
        largest = stream.largest_write - _SHELL_PACKET.size
        for start in range(0, len(data), largest):
            part = data[start : start + largest]
            await stream.write(_SHELL_PACKET.pack(kind, len(part)) + part)

    async def _reverse(self, stream: Stream, request: str) -> None:
        verb, _, rest = request.partition(":")
        if verb == "forward":
            remote, _, local = rest.removeprefix("norebind:").partition(";")
            self._reverses[remote] = local
            await stream.write(b"OKAY")
        elif verb == "list-forward":
            lines = [f"host-1 {remote} {local}\n" for remote, local in self._reverses.items()]
            text = "".join(lines).encode()
            await stream.write(f"{len(text):04x}".encode() + text)
        elif verb == "killforward":
            self._reverses.pop(rest, None)
            await stream.write(b"OKAY")
        elif verb == "killforward-all":
            self._reverses.clear()
            await stream.write(b"OKAY")
        else:
            text = f"unknown request {verb}".encode()
            await stream.write(b"FAIL" + f"{len(text):04x}".encode() + text)


async def _refuse_root(stream: Stream) -> None:
    await stream.write(b"adbd cannot run as root in production builds\n")


async def _interactive(source: _RawSource | _FramedSource) -> bytes:
    """Return all that was typed: a shell without a command runs what it reads."""
    typed = bytearray()
    while part := await source.read(1 << 16):
        typed += part
        if typed.rstrip().endswith(b"exit"):
            break
    return bytes(typed)


class _RawSource:
    """Standard input without frames: what the computer sends."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    async def read(self, limit: int) -> bytes:
        with contextlib.suppress(StreamClosedError):
            return bytes(await self._stream.read_some(limit))
        return b""


class _FramedSource:
    """Standard input in the packets of the shell protocol."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._rest = Bytes(b"")
        self._ended = False

    async def read(self, limit: int) -> bytes:
        while not self._ended:
            part = await self._rest.read(limit)
            if part:
                return part
            try:
                header = await self._stream.read_exactly(_SHELL_PACKET.size)
                kind, size = _SHELL_PACKET.unpack(header)
                payload = await self._stream.read_exactly(size) if size else b""
            except StreamClosedError:
                self._ended = True
                break
            if kind == _CLOSE_STDIN:
                self._ended = True
            elif kind == _STDIN:
                self._rest = Bytes(payload)
        return b""
