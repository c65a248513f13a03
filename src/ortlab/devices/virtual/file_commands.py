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

from ortlab.devices.virtual.filesystem import FileState, FileSystem
from ortlab.devices.virtual.shell import Call, Program

_CHUNK: Final = 1 << 18


def _flags(call: Call, with_value: str = "") -> tuple[set[str], dict[str, str], list[str]]:
    """Divide arguments into letters of options, options with a value, and the rest."""
    letters: set[str] = set()
    values: dict[str, str] = {}
    rest: list[str] = []
    waiting = list(call.arguments)
    while waiting:
        argument = waiting.pop(0)
        if argument == "--":
            return letters, values, [*rest, *waiting]
        if not argument.startswith("-") or argument == "-":
            rest.append(argument)
            continue
        for position, letter in enumerate(argument[1:], start=2):
            if letter in with_value:
                values[letter] = argument[position:] or (waiting.pop(0) if waiting else "")
                break
            letters.add(letter)
    return letters, values, rest


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
            "basename": self._basename,
            "cat": self._cat,
            "chmod": self._chmod,
            "cp": self._cp,
            "cut": self._cut,
            "dd": self._dd,
            "df": self._df,
            "dirname": self._dirname,
            "du": self._du,
            "echo": self._echo,
            "false": self._false,
            "find": self._find,
            "grep": self._grep,
            "head": self._head,
            "ls": self._ls,
            "mkdir": self._mkdir,
            "mv": self._mv,
            "printf": self._printf,
            "readlink": self._readlink,
            "realpath": self._readlink,
            "rm": self._rm,
            "rmdir": self._rmdir,
            "sleep": self._sleep,
            "sort": self._sort,
            "stat": self._stat,
            "sync": self._true,
            "tail": self._tail,
            "test": self._test,
            "touch": self._touch,
            "tr": self._tr,
            "true": self._true,
            "wc": self._wc,
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
            _, _, names = _flags(call)
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
        letters, _, names = _flags(call)
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
        letters, values, names = _flags(call, with_value="c")
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
        letters, _, names = _flags(call)
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
        _, _, names = _flags(call)
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
        letters, values, names = _flags(call, with_value="m")
        mode = int(values.get("m", "755"), 8)
        return await self._each(
            call,
            names,
            lambda path: self._files.make_directory(path, mode=mode, parents="p" in letters),
        )

    async def _rm(self, call: Call) -> int:
        letters, _, names = _flags(call)

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
        _, _, names = _flags(call)
        if len(names) < 2 or not re.fullmatch(r"[0-7]{3,4}", names[0]):
            return await call.fail(f"chmod: bad mode '{names[0] if names else ''}'")
        mode = int(names[0], 8)
        return await self._each(call, names[1:], lambda path: self._files.change_mode(path, mode))

    async def _touch(self, call: Call) -> int:
        def touch(path: str) -> None:
            self._files.check_writable(path)
            self._files.host_path(path).touch()

        return await self._each(call, _flags(call)[2], touch)

    async def _mv(self, call: Call) -> int:
        return await self._transfer(call, self._files.move)

    async def _cp(self, call: Call) -> int:
        def copy(source: str, destination: str) -> None:
            self._files.write(destination, self._files.read(source))

        return await self._transfer(call, copy)

    async def _transfer(self, call: Call, change: Callable[[str, str], None]) -> int:
        _, _, names = _flags(call)
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

    # -------------------------------------------------------------------------- text

    async def _echo(self, call: Call) -> int:
        words = list(call.arguments)
        newline, escapes = True, False
        while words and re.fullmatch(r"-[neE]+", words[0]):
            newline &= "n" not in words[0]
            escapes |= "e" in words[0]
            words.pop(0)
        text = " ".join(words)
        if escapes:
            text = _unescaped(text)
        await call.out((text + "\n" * newline).encode("utf-8", "surrogateescape"))
        return 0

    async def _printf(self, call: Call) -> int:
        if not call.arguments:
            return await call.fail("printf: Needs 1 argument")
        form, values = _unescaped(call.arguments[0]), list(call.arguments[1:])
        printed, left = _filled(form, values)
        while left and len(left) < len(values):
            values = left
            more, left = _filled(form, values)
            printed += more
        await call.out(printed.encode("utf-8", "surrogateescape"))
        return 0

    async def _grep(self, call: Call) -> int:
        letters, values, names = _flags(call, with_value="em")
        pattern = values.get("e") or (names.pop(0) if names else "")
        if "F" in letters:
            pattern = re.escape(pattern)
        elif "E" not in letters:
            pattern = re.sub(r"\\([|+?(){}])", r"\1", pattern)
        found = re.compile(pattern, re.IGNORECASE if "i" in letters else 0)
        lines = (await self._input(call, names)).decode("utf-8", "surrogateescape").splitlines()
        matching = [line for line in lines if bool(found.search(line)) is ("v" not in letters)]
        if "m" in values:
            matching = matching[: int(values["m"])]
        if "c" in letters:
            await call.say(str(len(matching)))
        elif "q" not in letters:
            for line in matching:
                shown = found.search(line)
                await call.say(shown[0] if "o" in letters and shown else line)
        return 0 if matching else 1

    async def _input(self, call: Call, names: list[str]) -> bytes:
        if not names:
            return await call.read_all()
        return b"".join(self._files.read(call.shell.path(name)) for name in names)

    async def _head(self, call: Call) -> int:
        return await self._ends(call, lambda lines, count: lines[:count])

    async def _tail(self, call: Call) -> int:
        return await self._ends(call, lambda lines, count: lines[-count:] if count else [])

    async def _ends(self, call: Call, cut: Callable[[list[bytes], int], list[bytes]]) -> int:
        _, values, names = _flags(call, with_value="nc0123456789")
        content = await self._input(call, names)
        if "c" in values:
            pieces = [content[i : i + 1] for i in range(len(content))]
            await call.out(b"".join(cut(pieces, int(values["c"]))))
            return 0
        digit = next((key + value for key, value in values.items() if key.isdigit()), "10")
        count = int(values.get("n", digit))
        await call.out(b"".join(cut(content.splitlines(keepends=True), count)))
        return 0

    async def _wc(self, call: Call) -> int:
        letters, _, names = _flags(call)
        content = await self._input(call, names)
        counts = {
            "l": content.count(b"\n"),
            "w": len(content.split()),
            "c": len(content),
        }
        shown = [str(counts[key]) for key in counts if not letters or key in letters]
        await call.say(" ".join([*shown, *names[:1]]))
        return 0

    async def _sort(self, call: Call) -> int:
        letters, _, names = _flags(call)
        lines = (await self._input(call, names)).splitlines()
        ordered = sorted(set(lines) if "u" in letters else lines, reverse="r" in letters)
        await call.out(b"".join(line + b"\n" for line in ordered))
        return 0

    async def _cut(self, call: Call) -> int:
        _, values, names = _flags(call, with_value="df")
        separator, field = values.get("d", "\t"), int(values.get("f", "1"))
        for line in (await self._input(call, names)).decode("utf-8", "replace").splitlines():
            parts = line.split(separator)
            await call.say(line if len(parts) == 1 else "".join(parts[field - 1 : field]))
        return 0

    async def _tr(self, call: Call) -> int:
        letters, _, names = _flags(call)
        text = (await call.read_all()).decode("utf-8", "surrogateescape")
        source = _unescaped(names[0]) if names else ""
        if "d" in letters:
            changed = "".join(c for c in text if c not in source)
        else:
            target = _unescaped(names[1]) if len(names) > 1 else source
            changed = text.translate(str.maketrans(source, target.ljust(len(source), target[-1:])))
        await call.out(changed.encode("utf-8", "surrogateescape"))
        return 0

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

    async def _basename(self, call: Call) -> int:
        name = posixpath.basename(call.arguments[0].rstrip("/"))
        if len(call.arguments) > 1:
            name = name.removesuffix(call.arguments[1])
        await call.say(name)
        return 0

    async def _dirname(self, call: Call) -> int:
        await call.say(posixpath.dirname(call.arguments[0].rstrip("/")) or ".")
        return 0

    async def _readlink(self, call: Call) -> int:
        place = self._files.host_path(call.shell.path(_flags(call)[2][-1]))
        await call.say(self._files.phone_path(place))
        return 0

    async def _sleep(self, call: Call) -> int:
        await asyncio.sleep(float(call.arguments[0]) if call.arguments else 0)
        return 0

    async def _true(self, call: Call) -> int:
        del call
        return 0

    async def _false(self, call: Call) -> int:
        del call
        return 1


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


def _filled(form: str, values: list[str]) -> tuple[str, list[str]]:
    """Return a `printf` format filled once, and the values that are left."""
    left = list(values)

    def fill(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        value = left.pop(0) if left else ""
        if match[0].endswith("s"):
            return match[0] % value
        return match[0] % int(value or "0", 0)

    return re.sub(r"%(?:%|-?0?\d*(?:\.\d+)?[sdiuxXo])", fill, form), left


def _unescaped(text: str) -> str:
    known = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "0": "\0", "a": "\a"}

    def replace(match: re.Match[str]) -> str:
        if match[1]:
            return chr(int(match[1], 8) & 0xFF)
        return known.get(match[2], match[0])

    return re.sub(r"\\(?:([0-7]{3})|(.))", replace, text)


def _like(path: str, pattern: str) -> bool:
    import fnmatch

    return fnmatch.fnmatchcase(posixpath.basename(path), pattern)
