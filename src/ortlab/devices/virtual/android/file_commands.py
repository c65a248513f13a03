"""Commands of the phone's shell that work on files and text, as Toybox has them."""

from __future__ import annotations

import asyncio
import hashlib
import math
import posixpath
import re
import stat
import time
from collections.abc import Callable, Mapping
from typing import Final

from ortlab.devices.virtual.android.filesystem import FileState, FileSystem
from ortlab.devices.virtual.android.shell import Call, Program
from ortlab.devices.virtual.android.text_commands import divided

_CHUNK: Final = 1 << 18


class FileCommands:
    """Commands on one phone's files.

    Args:
        files: The phone's.
    """

    def __init__(self, files: FileSystem) -> None:
        self._files = files

    def table(self) -> Mapping[str, Program]:
        """Return the commands by name."""
        hashes = {f"{name}sum": self._hash(name) for name in ("md5", "sha1", "sha256", "sha512")}
        return {
            **hashes,
            "[": self._test,
            "cat": self._cat,
            "chmod": self._chmod,
            "cp": self._cp,
            "dd": self._dd,
            "df": self._df,
            "du": self._du,
            "find": self._find,
            "ls": self._ls,
            "mkdir": self._mkdir,
            "mv": self._mv,
            "readlink": self._readlink,
            "realpath": self._readlink,
            "rm": self._rm,
            "rmdir": self._rmdir,
            "stat": self._stat,
            "test": self._test,
            "touch": self._touch,
        }

    # -------------------------------------------------------------------------- reading

    async def _cat(self, call: Call) -> int:
        code = 0
        for name in call.arguments or ("-",):
            if name == "-":
                while part := await call.source.read(_CHUNK):
                    await call.out(part)
                continue
            try:
                path = call.shell.path(name)
                self._files.check_readable(path)
                with self._files.host_path(path).open("rb") as file:
                    while part := file.read(_CHUNK):
                        await call.out(part)
            except OSError as error:
                code = await call.fail(f"cat: {name}: {error.strerror}")
        return code

    def _hash(self, algorithm: str) -> Program:
        async def command(call: Call) -> int:
            code = 0
            _, _, names = divided(call)
            for name in names or ("-",):
                try:
                    digest = await self._digest(call, algorithm, name)
                except OSError as error:
                    code = await call.fail(f"{call.name}: {name}: {error.strerror}")
                else:
                    await call.say(f"{digest}  {name}")
            return code

        return command

    async def _digest(self, call: Call, algorithm: str, name: str) -> str:
        if name == "-":
            return hashlib.new(algorithm, await call.read_all()).hexdigest()
        path = call.shell.path(name)
        self._files.check_readable(path)
        place = self._files.host_path(path)

        def compute() -> str:
            with place.open("rb") as file:
                return hashlib.file_digest(file, algorithm).hexdigest()

        return await asyncio.to_thread(compute)

    async def _ls(self, call: Call) -> int:
        letters, _, names = divided(call)
        code = 0
        for name in names or ("",):
            path = call.shell.path(name)
            try:
                state = self._files.state(path)
                if stat.S_ISDIR(state.mode) and "d" not in letters:
                    for entry in self._files.names(path):
                        if not entry.startswith(".") or letters & {"a", "A"}:
                            full = posixpath.join(path, entry)
                            await call.say(_listed(self._files.state(full), entry, letters))
                else:
                    await call.say(_listed(state, name, letters))
            except OSError as error:
                code = await call.fail(f"ls: {name}: {error.strerror}")
        return code

    async def _stat(self, call: Call) -> int:
        letters, values, names = divided(call, with_value="c")
        del letters
        code = 0
        for name in names:
            try:
                state = self._files.state(call.shell.path(name))
            except OSError as error:
                code = await call.fail(f"stat: '{name}': {error.strerror}")
                continue
            await call.say(_stat_text(state, name, values.get("c")))
        return code

    async def _find(self, call: Call) -> int:
        arguments = list(call.arguments)
        tops = []
        while arguments and not arguments[0].startswith("-"):
            tops.append(arguments.pop(0))
        options = dict(zip(arguments[::2], arguments[1::2], strict=False))
        wanted = options.get("-type")
        pattern = options.get("-name", "*")
        for top in tops or ["."]:
            path = call.shell.path(top)
            if not self._files.exists(path):
                return await call.fail(f"find: '{top}': No such file or directory")
            for found in self._files.walk(path):
                kind = "d" if self._files.is_directory(found) else "f"
                if wanted in (None, kind) and posixpath.basename(found) and _like(found, pattern):
                    await call.say(found)
        return 0

    async def _df(self, call: Call) -> int:
        letters, _, names = divided(call)
        unit, head = (1024, "1K-blocks") if "h" not in letters else (1 << 20, "Size (M)")
        total = self._files.capacity_bytes // unit
        free = self._files.free_bytes() // unit
        used = total - free
        await call.say(f"Filesystem      {head:>12} {'Used':>12} {'Available':>12} Use% Mounted on")
        share = math.ceil(100 * used / total) if total else 100
        for name in names or ("/data",):
            mounted = "/storage/emulated" if name.startswith(("/sdcard", "/storage")) else "/data"
            device = "/dev/fuse" if mounted != "/data" else "/dev/block/dm-8"
            await call.say(f"{device:<15} {total:>12} {used:>12} {free:>12} {share:>3}% {mounted}")
        return 0

    async def _du(self, call: Call) -> int:
        _, _, names = divided(call)
        for name in names or (".",):
            path = call.shell.path(name)
            if not self._files.exists(path):
                return await call.fail(f"du: {name}: No such file or directory")
            files = [p for p in self._files.walk(path) if not self._files.is_directory(p)]
            total = sum(self._files.state(p).size_bytes for p in files)
            await call.say(f"{math.ceil(total / 1024)}\t{name}")
        return 0

    # -------------------------------------------------------------------------- changing

    async def _mkdir(self, call: Call) -> int:
        letters, values, names = divided(call, with_value="m")
        mode = int(values.get("m", "755"), 8)
        return await self._each(
            call,
            names,
            lambda path: self._files.make_directory(path, mode=mode, parents="p" in letters),
        )

    async def _rm(self, call: Call) -> int:
        letters, _, names = divided(call)

        def remove(path: str) -> None:
            if not self._files.exists(path) and "f" in letters:
                return
            if self._files.is_directory(path) and not letters & {"r", "R"}:
                raise OSError(0, "Is a directory")
            self._files.remove(path)

        return await self._each(call, names, remove)

    async def _rmdir(self, call: Call) -> int:
        def remove(path: str) -> None:
            self._files.check_writable(path)
            self._files.host_path(path).rmdir()

        return await self._each(call, list(call.arguments), remove)

    async def _chmod(self, call: Call) -> int:
        _, _, names = divided(call)
        if len(names) < 2 or not re.fullmatch(r"[0-7]{3,4}", names[0]):
            return await call.fail(f"chmod: bad mode '{names[0] if names else ''}'")
        mode = int(names[0], 8)
        return await self._each(call, names[1:], lambda path: self._files.change_mode(path, mode))

    async def _touch(self, call: Call) -> int:
        def touch(path: str) -> None:
            self._files.check_writable(path)
            self._files.host_path(path).touch()

        return await self._each(call, divided(call)[2], touch)

    async def _mv(self, call: Call) -> int:
        return await self._transfer(call, self._files.move)

    async def _cp(self, call: Call) -> int:
        def copy(source: str, destination: str) -> None:
            self._files.write(destination, self._files.read(source))

        return await self._transfer(call, copy)

    async def _transfer(self, call: Call, change: Callable[[str, str], None]) -> int:
        _, _, names = divided(call)
        if len(names) < 2:
            return await call.fail(f"{call.name}: Needs 2 arguments")
        destination = call.shell.path(names[-1])
        into = self._files.is_directory(destination)

        def transfer(path: str) -> None:
            name = posixpath.basename(path.rstrip("/"))
            change(path, posixpath.join(destination, name) if into else destination)

        return await self._each(call, names[:-1], transfer)

    async def _dd(self, call: Call) -> int:
        options = dict(argument.partition("=")[::2] for argument in call.arguments)
        content = await call.read_all() if "if" not in options else None
        if content is None:
            content = self._zeros_or(call, options)
        size = len(content)
        if "of" in options:
            self._files.write(call.shell.path(options["of"]), content)
        else:
            await call.out(content)
        return await call.fail(f"{size} bytes copied", 0)

    def _zeros_or(self, call: Call, options: Mapping[str, str]) -> bytes:
        path = options["if"]
        if path == "/dev/zero":
            sizes = {"": 1, "k": 1 << 10, "K": 1 << 10, "m": 1 << 20, "M": 1 << 20}
            match = re.fullmatch(r"(\d+)([kKmM]?)", options.get("bs", "512"))
            block = int(match[1]) * sizes[match[2]] if match else 512
            return bytes(min(1 << 28, block * int(options.get("count", "1"))))
        return self._files.read(call.shell.path(path))

    async def _each(self, call: Call, names: list[str], change: Callable[[str], None]) -> int:
        code = 0
        if not names:
            return await call.fail(f"{call.name}: Needs 1 argument")
        for name in names:
            try:
                change(call.shell.path(name))
            except OSError as error:
                code = await call.fail(f"{call.name}: {name}: {error.strerror}")
        return code

    # -------------------------------------------------------------------------- others

    async def _test(self, call: Call) -> int:
        words = list(call.arguments)
        if call.name == "[" and (not words or words.pop() != "]"):
            return await call.fail("[: missing ]", 2)
        try:
            return int(not self._is_true(call, words))
        except (ValueError, IndexError):
            return await call.fail(f"{call.name}: bad test", 2)

    def _is_true(self, call: Call, words: list[str]) -> bool:
        for operator, combine in (("-o", any), ("-a", all)):
            if len(words) > 3 and operator in words[1:-1]:
                place = words.index(operator, 1)
                sides = (words[:place], words[place + 1 :])
                return combine([self._is_true(call, side) for side in sides])
        if len(words) > 1 and words[0] == "!":
            return not self._is_true(call, words[1:])
        if len(words) <= 1:
            return bool(words and words[0])
        if len(words) == 2:
            return self._unary(call, words[0], words[1])
        left, operator, right = words
        compare = {
            "=": lambda: left == right,
            "==": lambda: left == right,
            "!=": lambda: left != right,
            "-eq": lambda: int(left) == int(right),
            "-ne": lambda: int(left) != int(right),
            "-lt": lambda: int(left) < int(right),
            "-le": lambda: int(left) <= int(right),
            "-gt": lambda: int(left) > int(right),
            "-ge": lambda: int(left) >= int(right),
        }
        if operator not in compare:
            raise ValueError(operator)
        return compare[operator]()

    def _unary(self, call: Call, operator: str, word: str) -> bool:
        if operator in ("-n", "-z"):
            return bool(word) is (operator == "-n")
        path = call.shell.path(word)
        exists = self._files.exists(path)
        directory = self._files.is_directory(path)
        answers = {
            "-e": exists,
            "-r": exists,
            "-w": exists,
            "-x": directory,
            "-d": directory,
            "-f": exists and not directory,
            "-L": False,
            "-s": exists and (directory or self._files.state(path).size_bytes > 0),
        }
        if operator not in answers:
            raise ValueError(operator)
        return answers[operator]

    async def _readlink(self, call: Call) -> int:
        place = self._files.host_path(call.shell.path(divided(call)[2][-1]))
        await call.say(self._files.phone_path(place))
        return 0


def _listed(state: FileState, name: str, letters: set[str]) -> str:
    if "l" not in letters:
        return name
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(state.modified_s))
    kind = stat.filemode(state.mode)
    return f"{kind} {state.links} shell shell {state.size_bytes:>8} {when} {name}"


def _stat_text(state: FileState, name: str, form: str | None) -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S.000000000 +0000", time.gmtime(state.modified_s))
    fields = {
        "%a": f"{stat.S_IMODE(state.mode):o}",
        "%A": stat.filemode(state.mode),
        "%f": f"{state.mode:x}",
        "%F": "directory" if stat.S_ISDIR(state.mode) else "regular file",
        "%g": "2000",
        "%G": "shell",
        "%i": str(state.inode),
        "%n": name,
        "%s": str(state.size_bytes),
        "%u": "2000",
        "%U": "shell",
        "%y": when,
        "%Y": str(state.modified_s),
        "%%": "%",
    }
    if form is not None:
        return re.sub(r"%.", lambda match: fields.get(match[0], match[0]), form)
    return (
        f"  File: {name}\n  Size: {fields['%s']}\t {fields['%F']}\n"
        f"Access: (0{fields['%a']}/{fields['%A']})\tUid: ( 2000/   shell)\n"
        f"Modify: {when}"
    )


def _like(path: str, pattern: str) -> bool:
    import fnmatch

    return fnmatch.fnmatchcase(posixpath.basename(path), pattern)
