"""Commands of the phone's shell that work on text, as Toybox has them."""

from __future__ import annotations

import asyncio
import posixpath
import re
from collections.abc import Callable, Mapping

from ortlab.devices.virtual.android.filesystem import FileSystem
from ortlab.devices.virtual.android.shell import Call, Program


def divided(call: Call, with_value: str = "") -> tuple[set[str], dict[str, str], list[str]]:
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


class TextCommands:
    """Commands on text, some of it in one phone's files.

    Args:
        files: The phone's.
    """

    def __init__(self, files: FileSystem) -> None:
        self._files = files

    def table(self) -> Mapping[str, Program]:
        """Return the commands by name."""
        return {
            "basename": self._basename,
            "cut": self._cut,
            "dirname": self._dirname,
            "echo": self._echo,
            "false": self._false,
            "grep": self._grep,
            "head": self._head,
            "printf": self._printf,
            "sleep": self._sleep,
            "sort": self._sort,
            "sync": self._true,
            "tail": self._tail,
            "tr": self._tr,
            "true": self._true,
            "wc": self._wc,
        }

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
        letters, values, names = divided(call, with_value="em")
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
        _, values, names = divided(call, with_value="nc0123456789")
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
        letters, _, names = divided(call)
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
        letters, _, names = divided(call)
        lines = (await self._input(call, names)).splitlines()
        ordered = sorted(set(lines) if "u" in letters else lines, reverse="r" in letters)
        await call.out(b"".join(line + b"\n" for line in ordered))
        return 0

    async def _cut(self, call: Call) -> int:
        _, values, names = divided(call, with_value="df")
        separator, field = values.get("d", "\t"), int(values.get("f", "1"))
        for line in (await self._input(call, names)).decode("utf-8", "replace").splitlines():
            parts = line.split(separator)
            await call.say(line if len(parts) == 1 else "".join(parts[field - 1 : field]))
        return 0

    async def _tr(self, call: Call) -> int:
        letters, _, names = divided(call)
        text = (await call.read_all()).decode("utf-8", "surrogateescape")
        source = _unescaped(names[0]) if names else ""
        if "d" in letters:
            changed = "".join(c for c in text if c not in source)
        else:
            target = _unescaped(names[1]) if len(names) > 1 else source
            changed = text.translate(str.maketrans(source, target.ljust(len(source), target[-1:])))
        await call.out(changed.encode("utf-8", "surrogateescape"))
        return 0

    async def _basename(self, call: Call) -> int:
        name = posixpath.basename(call.arguments[0].rstrip("/"))
        if len(call.arguments) > 1:
            name = name.removesuffix(call.arguments[1])
        await call.say(name)
        return 0

    async def _dirname(self, call: Call) -> int:
        await call.say(posixpath.dirname(call.arguments[0].rstrip("/")) or ".")
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
