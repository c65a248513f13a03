"""Xcode project files as Xcode writes them: objects with ids of their own, in sections, commented.

Source of the format: project files that Xcode 14 to 16 wrote. Ids are digests of what an object
stands for, so that the same project is the same text, byte for byte.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

OBJECT_VERSION = 56
"""Of Xcode 14, which CocoaPods' xcodeproj gem reads in every version that still runs."""

_PLAIN = re.compile(r"[A-Za-z0-9_./]+")
_ON_ONE_LINE = frozenset({"PBXBuildFile", "PBXFileReference"})
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t"}


@dataclass(frozen=True)
class Ref:
    """The id of an object, with the comment that Xcode writes behind it."""

    id: str
    comment: str


Value: TypeAlias = "str | int | Ref | Sequence[Value] | Mapping[str, Value]"


@dataclass
class Objects:
    """The objects of a project as they are added.

    Attributes:
        name: Of the project; part of every id.
    """

    name: str
    found: dict[str, tuple[Ref, dict[str, Value]]] = field(default_factory=dict)

    def add(self, isa: str, what: str, comment: str, **fields: Value) -> Ref:
        """Add an object; ``what`` tells it from others of its kind."""
        digest = hashlib.sha256(f"{self.name}\n{isa}\n{what}".encode()).hexdigest()
        ref = Ref(digest[:24].upper(), comment)
        assert ref.id not in self.found, what
        self.found[ref.id] = (ref, {"isa": isa, **fields})
        return ref

    def text(self, root: Ref) -> str:
        """Return the project file."""
        lines = [
            "// !$*UTF8*$!",
            "{",
            "\tarchiveVersion = 1;",
            "\tclasses = {",
            "\t};",
            f"\tobjectVersion = {OBJECT_VERSION};",
            "\tobjects = {",
        ]
        kinds = sorted({str(fields["isa"]) for _, fields in self.found.values()})
        for kind in kinds:
            lines += ["", f"/* Begin {kind} section */"]
            for _, (ref, fields) in sorted(self.found.items()):
                if fields["isa"] == kind:
                    lines.append(f"\t\t{_shown(ref, 2)} = {_object(fields, kind)};")
            lines.append(f"/* End {kind} section */")
        lines += ["\t};", f"\trootObject = {_shown(root, 1)};", "}", ""]
        return "\n".join(lines)


def _object(fields: Mapping[str, Value], kind: str) -> str:
    if kind in _ON_ONE_LINE:
        inside = " ".join(f"{_quoted(key)} = {_shown(v, 0)};" for key, v in fields.items())
        return "{" + inside + " }"
    return _shown(fields, 2)


def _shown(value: Value, depth: int) -> str:
    indent = "\t" * depth
    match value:
        case Ref():
            return f"{value.id} /* {value.comment} */" if value.comment else value.id
        case str() | int():
            return _quoted(str(value))
        case Mapping():
            lines = [f"{indent}\t{_quoted(k)} = {_shown(v, depth + 1)};" for k, v in value.items()]
            return "\n".join(["{", *lines, indent + "}"])
        case _:
            lines = [f"{indent}\t{_shown(item, depth + 1)}," for item in value]
            return "\n".join(["(", *lines, indent + ")"])


def _quoted(text: str) -> str:
    if _PLAIN.fullmatch(text) and "//" not in text:
        return text
    return '"' + "".join(_ESCAPES.get(char, char) for char in text) + '"'
