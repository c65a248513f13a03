"""Several questions in one round trip: each costs a phone some tens of milliseconds."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from ortlab.devices.android.quoting import Raw

THEN: Final = Raw(";")

Words = Sequence[str | Raw]

_MARK: Final = "=ortlab={}="
_MARKS: Final = re.compile(r"^=ortlab=(\d+)=\r?\n?", re.MULTILINE)


def joined(commands: Sequence[Words]) -> tuple[str | Raw, ...]:
    """Return commands that run one after the other, whatever becomes of each."""
    arguments: list[str | Raw] = []
    for number, command in enumerate(commands):
        arguments += [THEN, *command] if number else command
    return tuple(arguments)


def questions(commands: Mapping[str, Words]) -> tuple[str | Raw, ...]:
    """Return commands whose answers can be told apart; see :func:`answers`."""
    marked: list[Words] = []
    for number, command in enumerate(commands.values()):
        marked += [("echo", _MARK.format(number)), command]
    return joined(marked)


def answers(commands: Mapping[str, Words], stdout: str) -> dict[str, str]:
    """Return what each command printed; nothing for those that were not reached.

    Args:
        commands: As given to :func:`questions`.
        stdout: Of all of them together.
    """
    found = dict.fromkeys(commands, "")
    names = list(commands)
    # A command whose output ends without a newline leaves the next mark at the end of its line.
    parts = _MARKS.split(re.sub(r"(?<!\n)(=ortlab=\d+=)", r"\n\1", stdout))
    for number, text in zip(parts[1::2], parts[2::2], strict=False):
        if int(number) < len(names):
            found[names[int(number)]] = text
    return found
