"""NSKeyedArchiver: how Objective-C objects are written as a binary property list.

An archive is a flat list of objects that refer to each other by number, with a class beside each
that is no plain value. Only the classes are known here that Instruments and its clients exchange.
"""

from __future__ import annotations

import plistlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from plistlib import UID
from typing import Any, Final

from ortlab.devices.virtual.iphone.streams import ProtocolError

_ARCHIVER: Final = "NSKeyedArchiver"
_VERSION: Final = 100000
_NULL: Final = "$null"
_MAGIC: Final = b"bplist00"
_DEEPEST: Final = 64
_EPOCH: Final = datetime(2001, 1, 1, tzinfo=UTC)
_LARGEST_INTEGER: Final = (1 << 63) - 1
_SMALLEST_INTEGER: Final = -(1 << 63)


class KeyedArchiveError(ProtocolError):
    """Bytes that are no keyed archive, or a value that none can hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedError:
    """An `NSError`.

    Attributes:
        domain: Of the code.
        code: Why.
        information: Its dictionary; the text stands at ``NSLocalizedDescription``.
    """

    domain: str
    code: int
    information: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TapMessage:
    """A message of a tap: an object of one of its classes around a plain value.

    Attributes:
        content: The value.
        kind: Name of the class.
    """

    content: Any
    kind: str = "DTSysmonTapMessage"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedObject:
    """An object of a class that has no value of Python's own.

    Attributes:
        kind: Name of the class.
        values: By key.
    """

    kind: str
    values: Mapping[str, Any]


def archive(value: object) -> bytes:
    """Return a value as an archive.

    None, bool, integers of 64 bits, float, str, bytes, datetime, sequences, mappings,
    :class:`ArchivedError`, :class:`TapMessage` and :class:`ArchivedObject`.

    Raises:
        KeyedArchiveError: It holds something else, or is nested too deeply.
    """
    writer = _Writer()
    root = writer.add(value, 0)
    content = {
        "$version": _VERSION,
        "$archiver": _ARCHIVER,
        "$top": {"root": root},
        "$objects": writer.objects,
    }
    try:
        return plistlib.dumps(content, fmt=plistlib.FMT_BINARY)
    except UnicodeEncodeError as error:
        message = f"a text that no archive can hold: {error}"
        raise KeyedArchiveError(message) from error


def unarchive(content: bytes) -> Any:
    """Return the value in an archive; tuples become lists.

    An object that is referred to twice is one object in the result, too.

    Raises:
        KeyedArchiveError: It is damaged, refers to itself, or is nested too deeply.
    """
    if not content.startswith(_MAGIC):
        message = "an archive that is no binary property list"
        raise KeyedArchiveError(message)
    try:
        plist = plistlib.loads(content, fmt=plistlib.FMT_BINARY)
    except Exception as error:  # plistlib raises many kinds on damaged input
        message = f"an archive that is no property list: {error}"
        raise KeyedArchiveError(message) from error
    if not isinstance(plist, dict) or plist.get("$archiver") != _ARCHIVER:
        message = "a property list that is no archive"
        raise KeyedArchiveError(message)
    objects, top = plist.get("$objects"), plist.get("$top")
    if not isinstance(objects, list) or not isinstance(top, dict) or "root" not in top:
        message = "an archive without objects or root"
        raise KeyedArchiveError(message)
    return _Reader(objects).value(top["root"], 0)


class _Writer:
    def __init__(self) -> None:
        self.objects: list[Any] = [_NULL]
        self._classes: dict[str, UID] = {}

    def add(self, value: object, depth: int) -> UID:
        if value is None:
            return UID(0)
        if depth > _DEEPEST:
            message = "a value that is nested too deeply for an archive"
            raise KeyedArchiveError(message)
        number = len(self.objects)
        self.objects.append(None)
        self.objects[number] = self._written(value, depth + 1)
        return UID(number)

    def _written(self, value: object, depth: int) -> Any:
        if isinstance(value, str | bytes | float | bool):
            return str(value) if isinstance(value, str) else value
        if isinstance(value, int):
            if not _SMALLEST_INTEGER <= value <= _LARGEST_INTEGER:
                message = f"an integer of more than 64 bits: {value}"
                raise KeyedArchiveError(message)
            return int(value)
        if isinstance(value, Mapping):
            return {
                "NS.keys": [self.add(key, depth) for key in value],
                "NS.objects": [self.add(item, depth) for item in value.values()],
                "$class": self._class("NSDictionary"),
            }
        if isinstance(value, Sequence):
            items = [self.add(item, depth) for item in value]
            return {"NS.objects": items, "$class": self._class("NSArray")}
        return self._object(value, depth)

    def _object(self, value: object, depth: int) -> dict[str, Any]:
        if isinstance(value, datetime):
            seconds = (value - _EPOCH).total_seconds()
            return {"NS.time": seconds, "$class": self._class("NSDate")}
        if isinstance(value, ArchivedError):
            return {
                "NSDomain": self.add(value.domain, depth),
                "NSCode": value.code,
                "NSUserInfo": self.add(value.information, depth),
                "$class": self._class("NSError"),
            }
        if isinstance(value, TapMessage):
            return {
                "DTTapMessagePlist": self.add(value.content, depth),
                "$class": self._class(value.kind, "DTTapMessage"),
            }
        if isinstance(value, ArchivedObject):
            content: dict[str, Any] = {k: self.add(v, depth) for k, v in value.values.items()}
            return {**content, "$class": self._class(value.kind)}
        message = f"no archive can hold a {type(value).__name__}"
        raise KeyedArchiveError(message)

    def _class(self, *names: str) -> UID:
        if names[0] not in self._classes:
            self._classes[names[0]] = UID(len(self.objects))
            self.objects.append({"$classname": names[0], "$classes": [*names, "NSObject"]})
        return self._classes[names[0]]


_DICTIONARIES: Final = frozenset({"NSDictionary", "NSMutableDictionary"})
_ARRAYS: Final = frozenset(
    {"NSArray", "NSMutableArray", "NSSet", "NSMutableSet", "NSOrderedSet", "NSMutableOrderedSet"}
)
_PLAIN: Final = {
    "NSString": ("NS.string", str),
    "NSMutableString": ("NS.string", str),
    "NSData": ("NS.data", bytes),
    "NSMutableData": ("NS.data", bytes),
}


class _Reader:
    """Reads each object once, so that reading takes no longer than the archive is large."""

    def __init__(self, objects: list[Any]) -> None:
        self._objects = objects
        self._read: dict[int, Any] = {}

    def value(self, reference: object, depth: int) -> Any:
        if not isinstance(reference, UID):
            return self._plain(reference)
        number = reference.data
        if number == 0:  # where every archive keeps what stands for nothing
            return None
        if number in self._read:
            return self._read[number]
        if depth > _DEEPEST:
            message = "an archive that refers to itself or is nested too deeply"
            raise KeyedArchiveError(message)
        value = self._read[number] = self._value_of(self._at(reference), depth + 1)
        return value

    def _at(self, reference: UID) -> Any:
        try:
            return self._objects[reference.data]
        except IndexError as error:
            message = f"an archive without the object {reference.data}"
            raise KeyedArchiveError(message) from error

    def _value_of(self, stored: Any, depth: int) -> Any:
        if not isinstance(stored, dict) or "$class" not in stored:
            return self._plain(stored)
        kind = self._class_name(stored["$class"])
        if kind in _DICTIONARIES:
            keys = self._list(stored, "NS.keys", depth)
            items = self._list(stored, "NS.objects", depth)
            try:
                return dict(zip(keys, items, strict=True))
            except (TypeError, ValueError) as error:
                message = f"a dictionary that is none: {error}"
                raise KeyedArchiveError(message) from error
        if kind in _ARRAYS:
            return self._list(stored, "NS.objects", depth)
        if kind in _PLAIN:
            key, wanted = _PLAIN[kind]
            return _of_kind(self.value(stored.get(key), depth), wanted)
        return self._object(kind, stored, depth)

    def _object(self, kind: str, stored: dict[str, Any], depth: int) -> Any:
        values = {k: self.value(v, depth) for k, v in stored.items() if k != "$class"}
        if kind == "NSNull":
            return None
        if kind == "NSDate":
            seconds = _of_kind(values.get("NS.time"), float)
            try:
                return _EPOCH + timedelta(seconds=seconds)
            except (OverflowError, ValueError) as error:
                message = f"a date {seconds} s after 2001"
                raise KeyedArchiveError(message) from error
        if kind == "NSError":
            return ArchivedError(
                domain=_of_kind(values.get("NSDomain"), str),
                code=_of_kind(values.get("NSCode"), int),
                information=_of_kind(values.get("NSUserInfo") or {}, dict),
            )
        if "DTTapMessagePlist" in values:
            return TapMessage(content=values["DTTapMessagePlist"], kind=kind)
        return ArchivedObject(kind=kind, values=values)

    def _class_name(self, reference: object) -> str:
        described = self._at(reference) if isinstance(reference, UID) else None
        name = described.get("$classname") if isinstance(described, dict) else None
        return str(_of_kind(name, str))

    def _list(self, stored: dict[str, Any], key: str, depth: int) -> list[Any]:
        return [self.value(item, depth) for item in _of_kind(stored.get(key), list)]

    def _plain(self, value: object) -> Any:
        if isinstance(value, str | bytes | float | bool | int):
            return value
        message = f"an archive with a {type(value).__name__} where a plain value belongs"
        raise KeyedArchiveError(message)


def _of_kind(value: Any, kind: type) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, kind):
        return value
    message = f"an archive with a {type(value).__name__} where a {kind.__name__} belongs"
    raise KeyedArchiveError(message)
