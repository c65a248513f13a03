"""The phone's shell at work: trees of :mod:`shell_tree` run against commands.

Commands are coroutines that read and write byte streams. They run one after another but for
pipelines, whose commands run side by side.
"""

from __future__ import annotations

import asyncio
import contextlib
import fnmatch
import posixpath
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from ortlab.devices.virtual.android.filesystem import FileSystem
from ortlab.devices.virtual.android.shell_language import ShellSyntaxError, parse
from ortlab.devices.virtual.android.shell_streams import (
    Bytes,
    Nothing,
    Pipe,
    Sink,
    Source,
    nowhere,
    to_file,
)
from ortlab.devices.virtual.android.shell_tree import (
    Command,
    Group,
    If,
    Literally,
    Loop,
    Parameter,
    Part,
    Pipeline,
    Redirection,
    Sequence_,
    Simple,
    Substitution,
    Word,
)

NOT_FOUND: Final = 127
_MOST_TURNS: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A command as it is called.

    Attributes:
        arguments: After the command's name.
        name: Of the command.
        source: Standard input.
        out: Standard output.
        error: Standard error.
        shell: That calls it.
    """

    name: str
    arguments: tuple[str, ...]
    source: Source
    out: Sink
    error: Sink
    shell: Shell

    async def say(self, text: str) -> None:
        """Print a line."""
        await self.out((text + "\n").encode("utf-8", "surrogateescape"))

    async def fail(self, text: str, exit_code: int = 1) -> int:
        """Print a line on standard error and return the exit code."""
        await self.error((text + "\n").encode("utf-8", "surrogateescape"))
        return exit_code

    async def read_all(self) -> bytes:
        """Return standard input to its end."""
        parts = bytearray()
        while part := await self.source.read(1 << 16):
            parts += part
        return bytes(parts)


Program = Callable[[Call], Awaitable[int]]


class Programs(Protocol):
    """Where a shell finds commands."""

    files: FileSystem

    def find(self, name: str, line: str) -> Program | None:
        """Return a command; None when there is none. ``line`` is the whole command, for notes."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Streams:
    source: Source
    out: Sink
    error: Sink


class _Exit(Exception):  # noqa: N818
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class _Break(Exception):  # noqa: N818
    pass


@dataclass(slots=True)
class Shell:
    """One shell: its variables, its directory, its last exit code.

    Args:
        programs: Commands it may call.
        variables: At start.
        directory: It works in.
        number: Of its process.
    """

    programs: Programs
    variables: dict[str, str] = field(default_factory=dict)
    directory: str = "/"
    number: int = 0
    status: int = 0
    turns: int = 0

    async def run(self, text: str, source: Source, out: Sink, error: Sink) -> int:
        """Run a command line and return its exit code."""
        streams = _Streams(source=source, out=out, error=error)
        try:
            tree = parse(text)
        except ShellSyntaxError as problem:
            await error(f"/system/bin/sh: {problem}\n".encode("utf-8", "surrogateescape"))
            return 1
        try:
            return await self.run_sequence(tree, streams)
        except _Exit as end:
            return end.code
        except (_Break, _Continue):
            return self.status

    def path(self, name: str) -> str:
        """Return an absolute path."""
        return name if name.startswith("/") else posixpath.join(self.directory, name)

    # ---------------------------------------------------------------------- lists

    async def run_sequence(self, body: Sequence_, streams: _Streams) -> int:
        """Run a list and return the exit code of its last command."""
        for joint, pipeline in body.items:
            if (joint == "&&" and self.status) or (joint == "||" and not self.status):
                continue
            status = await self._pipeline(pipeline, streams)
            self.status = int(not status) if pipeline.negated else status
        return self.status

    async def _pipeline(self, pipeline: Pipeline, streams: _Streams) -> int:
        if len(pipeline.commands) == 1:
            return await self.run_command(pipeline.commands[0], streams)
        tasks: list[asyncio.Task[int]] = []
        source = streams.source
        for position, command in enumerate(pipeline.commands):
            last = position == len(pipeline.commands) - 1
            pipe = Pipe()
            out = streams.out if last else pipe.write
            part = _Streams(source=source, out=out, error=streams.error)
            tasks.append(asyncio.create_task(self._piped(command, part, None if last else pipe)))
            source = pipe
        try:
            return await tasks[-1]
        finally:
            for task in tasks[:-1]:  # nobody reads any more
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _piped(self, command: Command, streams: _Streams, pipe: Pipe | None) -> int:
        shell = replace(self, variables=dict(self.variables))
        try:
            return await shell.run_command(command, streams)
        except _Exit as end:
            return end.code
        finally:
            if pipe is not None:
                pipe.close()

    # ---------------------------------------------------------------------- commands

    async def run_command(self, command: Command, streams: _Streams) -> int:
        """Run a command of any kind and return its exit code."""
        self.turns += 1
        if self.turns > _MOST_TURNS:
            raise _Exit(1)
        with contextlib.ExitStack() as opened:
            try:
                streams = await self._redirected(command.redirections, streams, opened)
            except OSError as problem:
                text = f"/system/bin/sh: can't create {problem.filename}: {problem.strerror}\n"
                await streams.error(text.encode())
                return 1
            if isinstance(command, Simple):
                return await self.run_simple(command, streams)
            if isinstance(command, Group):
                return await self._group(command, streams)
            if isinstance(command, If):
                return await self._if(command, streams)
            return await self._loop(command, streams)

    async def _group(self, group: Group, streams: _Streams) -> int:
        if not group.subshell:
            return await self.run_sequence(group.body, streams)
        inner = replace(self, variables=dict(self.variables))
        try:
            return await inner.run_sequence(group.body, streams)
        except _Exit as end:
            return end.code

    async def _if(self, choice: If, streams: _Streams) -> int:
        for condition, body in choice.branches:
            if condition is None or not await self.run_sequence(condition, streams):
                self.status = 0
                return await self.run_sequence(body, streams)
        return 0

    async def _loop(self, loop: Loop, streams: _Streams) -> int:
        status = 0
        words = await self._fields(loop.words, streams) if loop.variable else []
        try:
            while True:
                if loop.variable:
                    if not words:
                        return status
                    self.variables[loop.variable] = words.pop(0)
                elif loop.condition is not None:
                    if bool(await self.run_sequence(loop.condition, streams)) is not loop.until:
                        return status
                    await asyncio.sleep(0)
                with contextlib.suppress(_Continue):
                    status = await self.run_sequence(loop.body, streams)
        except _Break:
            return status

    async def run_simple(self, command: Simple, streams: _Streams) -> int:
        """Run a command with its arguments and return its exit code."""
        words = await self._fields(command.words, streams)
        assigned = {}
        for name, word in command.assignments:
            assigned[name] = await self._text(word, streams)
        if not words:
            self.variables.update(assigned)
            return 0
        name, arguments = words[0], tuple(words[1:])
        builtin = _BUILTINS.get(name)
        if builtin is not None:
            return await builtin(self, arguments, streams)
        line = " ".join(words)
        program = self.programs.find(posixpath.basename(name), line)
        if program is None:
            text = f"/system/bin/sh: {name}: inaccessible or not found\n"
            await streams.error(text.encode("utf-8", "surrogateescape"))
            return NOT_FOUND
        shell = replace(self, variables={**self.variables, **assigned}) if assigned else self
        call = Call(
            name=posixpath.basename(name),
            arguments=arguments,
            source=streams.source,
            out=streams.out,
            error=streams.error,
            shell=shell,
        )
        try:
            return await program(call)
        except OSError as problem:
            return await call.fail(f"{call.name}: {problem.filename or ''}: {problem.strerror}")

    async def _redirected(
        self,
        redirections: tuple[Redirection, ...],
        streams: _Streams,
        opened: contextlib.ExitStack,
    ) -> _Streams:
        """Return where the descriptors go.

        Raises:
            OSError: A file cannot be opened; its name is the phone's.
        """
        targets: dict[int, Source | Sink] = {0: streams.source, 1: streams.out, 2: streams.error}
        for redirection in redirections:
            target = await self._text(redirection.target, streams)
            if redirection.kind == ">&":
                targets[redirection.descriptor] = targets.get(
                    int(target) if target.isdigit() else -1, nowhere
                )
                continue
            try:
                targets[redirection.descriptor] = self._file(redirection, target, opened)
            except OSError as problem:
                raise OSError(problem.errno, problem.strerror, target) from problem
        source, out, error = (targets[number] for number in range(3))
        return _Streams(source=source, out=out, error=error)  # type: ignore[arg-type]

    def _file(
        self, redirection: Redirection, target: str, opened: contextlib.ExitStack
    ) -> Source | Sink:
        path = self.path(target)
        if redirection.kind == "<":
            return Nothing() if path == "/dev/null" else Bytes(self.programs.files.read(path))
        if path == "/dev/null":
            return nowhere
        self.programs.files.check_writable(path)
        append = redirection.kind == ">>"
        writer = opened.enter_context(self.programs.files.open_for_writing(path, append=append))
        return to_file(writer)

    # ---------------------------------------------------------------------- words

    async def _fields(self, words: tuple[Word, ...], streams: _Streams) -> list[str]:
        """Expand words to fields: parameters, field splitting, file names, quotes removed."""
        fields: list[str] = []
        for word in words:
            for pieces in await self._split(word, streams):
                fields += self._globbed(pieces)
        return fields

    async def _split(self, word: Word, streams: _Streams) -> list[list[Literally]]:
        """Expand a word and split what was not quoted at blanks."""
        fields: list[list[Literally]] = []
        current: list[Literally] | None = None
        for part in word:
            text = await self._expand(part, streams)
            if isinstance(part, Literally) or part.quoted:
                current = [*(current or []), Literally(text, part.quoted)]
                continue
            for number, piece in enumerate(re.split(r"[ \t\n]+", text)):
                if number and current is not None:
                    fields.append(current)
                    current = None
                if piece:
                    current = [*(current or []), Literally(piece, quoted=False)]
        if current is not None:
            fields.append(current)
        return fields

    async def _text(self, word: Word, streams: _Streams) -> str:
        return "".join([await self._expand(part, streams) for part in word])

    async def _expand(self, part: Part, streams: _Streams) -> str:
        if isinstance(part, Literally):
            return part.text
        if isinstance(part, Substitution):
            printed = bytearray()

            async def keep(data: bytes) -> None:
                printed.extend(data)

            inner = replace(self, variables=dict(self.variables))
            try:
                self.status = await inner.run_sequence(part.body, replace(streams, out=keep))
            except _Exit as end:
                self.status = end.code
            return printed.decode("utf-8", "surrogateescape").rstrip("\n")
        return await self._parameter(part, streams)

    async def _parameter(self, part: Parameter, streams: _Streams) -> str:
        special = {"?": str(self.status), "$": str(self.number), "#": "0", "0": "/system/bin/sh"}
        value = special.get(part.name, self.variables.get(part.name))
        operator = part.operator
        if operator == "length":
            return str(len(value or ""))
        word = await self._text(part.word, streams) if operator else ""
        if operator in (":-", "-"):
            missing = not value if operator == ":-" else value is None
            return word if missing else value or ""
        if operator in (":+", "+"):
            missing = not value if operator == ":+" else value is None
            return "" if missing else word
        if operator:
            return _trimmed(value or "", operator, word)
        return value or ""

    def _globbed(self, pieces: list[Literally]) -> list[str]:
        plain = "".join(piece.text for piece in pieces)
        if not any(set("*?[") & set(p.text) for p in pieces if not p.quoted):
            return [plain]
        pattern = "".join(_escaped(p.text) if p.quoted else p.text for p in pieces)
        return self._matching(pattern) or [plain]

    def _matching(self, pattern: str) -> list[str]:
        """Return the paths that a pattern matches, sorted as the file names are."""
        found = ["/"] if pattern.startswith("/") else [""]
        for part in pattern.strip("/").split("/"):
            following = []
            for base in found:
                names: tuple[str, ...] = ()
                with contextlib.suppress(OSError):
                    names = self.programs.files.names(self.path(base))
                following += [
                    posixpath.join(base, name)
                    for name in names
                    if fnmatch.fnmatchcase(name, part)
                    and (not name.startswith(".") or part.startswith("."))
                ]
            found = following
        return found


class _Continue(Exception):  # noqa: N818
    pass


def _escaped(text: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", text)


def _trimmed(value: str, operator: str, pattern: str) -> str:
    """Return a value without the part at its start or end that a pattern matches."""
    cuts = range(len(value) + 1)
    front = operator.startswith("#")
    longest = len(operator) == 2
    for cut in sorted(cuts, reverse=front == longest):
        part, rest = (value[:cut], value[cut:]) if front else (value[cut:], value[:cut])
        if fnmatch.fnmatchcase(part, pattern):
            return rest
    return value


# ------------------------------------------------------------------------------ built in


async def _exit(shell: Shell, arguments: tuple[str, ...], streams: _Streams) -> int:
    del streams
    raise _Exit(int(arguments[0]) & 0xFF if arguments and arguments[0].isdigit() else shell.status)


async def _cd(shell: Shell, arguments: tuple[str, ...], streams: _Streams) -> int:
    target = shell.path(arguments[0] if arguments else "/")
    if not shell.programs.files.is_directory(target):
        await streams.error(f"/system/bin/sh: cd: {target}: No such file or directory\n".encode())
        return 2
    shell.directory = posixpath.normpath(target)
    return 0


async def _export(shell: Shell, arguments: tuple[str, ...], streams: _Streams) -> int:
    del streams
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if equals:
            shell.variables[name] = value
    return 0


async def _exec(shell: Shell, arguments: tuple[str, ...], streams: _Streams) -> int:
    if not arguments:
        return 0
    words = tuple((Literally(argument, quoted=True),) for argument in arguments)
    simple = Simple(assignments=(), words=words, redirections=())
    raise _Exit(await shell.run_simple(simple, streams))


async def _break(shell: Shell, arguments: tuple[str, ...], streams: _Streams) -> int:
    del shell, arguments, streams
    raise _Break


async def _continue(shell: Shell, arguments: tuple[str, ...], streams: _Streams) -> int:
    del shell, arguments, streams
    raise _Continue


async def _nothing(shell: Shell, arguments: tuple[str, ...], streams: _Streams) -> int:
    del shell, arguments, streams
    return 0


_BUILTINS: Mapping[str, Callable[[Shell, tuple[str, ...], _Streams], Awaitable[int]]] = {
    ":": _nothing,
    "break": _break,
    "cd": _cd,
    "continue": _continue,
    "exec": _exec,
    "exit": _exit,
    "export": _export,
    "set": _nothing,
    "trap": _nothing,
    "umask": _nothing,
    "wait": _nothing,
}
