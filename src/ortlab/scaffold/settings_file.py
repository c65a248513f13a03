"""Settings that a user and we write into one file: single keys changed, all else left as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """A settings file after a change.

    Attributes:
        data: Its bytes.
        kept: Keys that the user had changed since they were written last, and whose wanted value
            is still the same: the user's values.
        replaced: Keys that the user had changed and that got another value all the same.
    """

    data: bytes
    kept: Mapping[str, str]
    replaced: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsFormat:
    """How settings stand in a file.

    Attributes:
        read: Returns the values of a file by key; of a key that is there twice, the last.
        merge: Gives keys the values that are wanted (None for a key that must not be there), in
            the knowledge of those written last; every other line stays as it is.
    """

    read: Callable[[bytes], dict[str, str]]
    merge: Callable[[bytes, Mapping[str, str | None], Mapping[str, str]], Merged]


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingLine:
    """A logical line: what stands in the file, and the setting it holds if it holds one."""

    text: str
    key: str | None = None
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedLines:
    """As :class:`Merged`, with the lines' texts."""

    texts: tuple[str, ...]
    kept: Mapping[str, str]
    replaced: tuple[str, ...]


def merge_lines(
    lines: Sequence[SettingLine],
    wanted: Mapping[str, str | None],
    written: Mapping[str, str],
    *,
    line_of: Callable[[str, str], str],
    goes_on: Callable[[str], bool],
) -> MergedLines:
    """Give keys the values that are wanted; every other line stays as it is.

    Args:
        lines: Of the file.
        wanted: Key to its value; None for a key that must not be there.
        written: What was written last. A value that the user changed since stays where the same
            value is still wanted.
        line_of: Returns the line, without its end, that gives a key a value.
        goes_on: Returns whether a natural line, without its end, goes on in the next.
    """
    found = {line.key: line.value for line in lines if line.key is not None}
    kept = {
        key: found[key]
        for key, value in wanted.items()
        if key in found and key in written and found[key] != written[key] == value
    }
    replaced = tuple(
        key
        for key, value in wanted.items()
        if key in written and key not in kept and found.get(key) not in {written[key], value}
    )
    changes = {
        key: value
        for key, value in wanted.items()
        if key not in kept and (found.get(key) != value or list(_keys(lines)).count(key) > 1)
    }
    end = "\r\n" if any(line.text.endswith("\r\n") for line in lines) else "\n"
    texts: list[str] = []
    open_changes = dict(changes)
    for line in reversed(lines):  # of a key that is there twice, the last counts
        if line.key is None or line.key not in changes:
            texts.append(line.text)
        elif (value := open_changes.pop(line.key, None)) is not None:
            texts.append(line_of(line.key, value) + end)
    texts.reverse()
    new = [line_of(key, v) + end for key, v in open_changes.items() if v is not None]
    if new and texts:
        if not texts[-1].endswith(("\n", "\r")):
            texts[-1] += end
        if lines[-1].key is not None and goes_on(texts[-1].rstrip("\r\n")):
            texts[-1] += end  # it would go on in the first of ours
    return MergedLines(texts=(*texts, *new), kept=kept, replaced=replaced)


def _keys(lines: Iterable[SettingLine]) -> Iterable[str]:
    return (line.key for line in lines if line.key is not None)
