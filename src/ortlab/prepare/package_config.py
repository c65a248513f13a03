"""Operator configs of reduced ORT packages, as ORT's build reads them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ortlab.errors import UsageError

Expected = TypeVar("Expected")

MAX_CONFIG_BYTES = 16 << 20

_GLOBAL_TYPES = "!globally_allowed_types;"
_ALL_OPERATORS = "!no_ops_specified_means_all_ops_are_required"


class ConfigError(ValueError):
    """A line that means nothing; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageConfig:
    """What an operator config allows.

    Attributes:
        operators: Domain to opset to operator types.
        types: ``(domain, operator)`` to argument (``inputs 0``, ``outputs 0``, ``custom``) to
            C++ type names; ``custom`` names are combinations such as ``float, int64_t``.
        globally_allowed_types: Types allowed for every operator; None when not limited so.
        all_operators: Whether every operator is in the package.
    """

    operators: Mapping[str, Mapping[int, frozenset[str]]]
    types: Mapping[tuple[str, str], Mapping[str, frozenset[str]]]
    globally_allowed_types: frozenset[str] | None = None
    all_operators: bool = False


def read_package_config(path: Path) -> PackageConfig:
    """Read an operator config.

    Raises:
        UsageError: It cannot be read, or a line of it means nothing; the line is named.
    """
    try:
        if not path.is_file() or path.stat().st_size > MAX_CONFIG_BYTES:
            what = "it is too large" if path.is_file() else "there is no such file"
            message = f"cannot read the operator config {path}: {what}"
            raise UsageError(message)
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        message = f"cannot read the operator config {path}: {reason}"
        raise UsageError(message) from error
    return parse_package_config(text, source=str(path))


def parse_package_config(text: str, *, source: str = "operator config") -> PackageConfig:
    """Parse an operator config as ORT's ``reduced_build_config_parser`` does.

    Args:
        text: Lines ``domain;opset,opset;Operator,Operator{types}``, comments with ``#``, and the
            two directives that start with ``!``.
        source: What was read, for messages.

    Raises:
        UsageError: A line means nothing; it is named.
    """
    operators: dict[str, dict[int, set[str]]] = {}
    types: dict[tuple[str, str], Mapping[str, frozenset[str]]] = {}
    allowed: frozenset[str] | None = None
    unlimited = False
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.strip()
        try:
            if not line or line.startswith("#"):
                continue
            if line == _ALL_OPERATORS:
                unlimited = True
            elif line.startswith(_GLOBAL_TYPES):
                allowed = _global_types(line, allowed)
            else:
                domain, opsets, entries = _operator_line(line)
                types.update({(domain, name): entry for name, entry in entries if entry})
                # ORT's parser lets the opsets of a line share their set for good, so that a package
                # holds what a later line adds to one of them for all of them.
                shared = {name for name, _ in entries}
                for opset in opsets:
                    operators.setdefault(domain, {}).setdefault(opset, shared).update(shared)
        except ConfigError as error:
            message = f"cannot read {source}, line {number}: {error}"
            raise UsageError(message) from error
    if allowed is not None and types:
        message = (
            f"cannot read {source}: it allows types globally and for single operators, and ORT"
            " takes only one of both"
        )
        raise UsageError(message)
    return PackageConfig(
        operators={
            domain: {opset: frozenset(names) for opset, names in opsets.items()}
            for domain, opsets in operators.items()
        },
        types=types,
        globally_allowed_types=allowed,
        all_operators=unlimited and not operators,
    )


def _global_types(line: str, earlier: frozenset[str] | None) -> frozenset[str]:
    if earlier is not None:
        message = "the globally allowed types were given before"
        raise ConfigError(message)
    return frozenset(name.strip() for name in line.split(";")[1].split(","))


def _operator_line(
    line: str,
) -> tuple[str, list[int], list[tuple[str, Mapping[str, frozenset[str]] | None]]]:
    parts = [part.strip() for part in line.split(";")]
    if len(parts) != 3:
        message = f"it has {len(parts)} parts, not domain;opsets;operators"
        raise ConfigError(message)
    domain, listed, rest = parts
    opsets = []
    for text in listed.split(","):
        digits = text.strip()
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 9):
            message = f"{digits[:40]!r} is no opset number"
            raise ConfigError(message)
        opsets.append(int(digits))
    return domain, opsets, list(_entries(rest))


def _entries(text: str) -> Iterator[tuple[str, Mapping[str, frozenset[str]] | None]]:
    """Yield operator names with the types that may follow each in braces."""
    decoder = json.JSONDecoder()
    position = 0
    while position < len(text):
        comma, brace = text.find(",", position), text.find("{", position)
        end = comma if comma >= 0 else len(text)
        if not 0 <= brace < end:
            yield text[position:end].strip(), None
            position = end + 1
            continue
        name = text[position:brace].strip()
        try:
            entry, position = decoder.raw_decode(text, brace)
        except (ValueError, RecursionError) as error:
            message = f"the types of {name[:80]!r} are not JSON"
            raise ConfigError(message) from error
        yield name, entry_types(name, entry)
        rest = text[position:].lstrip()
        if rest and not rest.startswith(","):
            message = f"{rest[:40]!r} follows the types of {name[:80]!r}"
            raise ConfigError(message)
        position = len(text) - len(rest) + 1


def entry_types(name: str, entry: object) -> Mapping[str, frozenset[str]]:
    """Flatten ORT's type entry of an operator; see :class:`PackageConfig`.

    Raises:
        ConfigError: It has another structure.
    """
    found: dict[str, frozenset[str]] = {}
    try:
        plain = _expect(dict, entry)
        for side in ("inputs", "outputs"):
            for index, names in _expect(dict, plain.get(side, {})).items():
                found[f"{side} {int(index)}"] = frozenset(_names(names))
        if "custom" in plain:
            combinations = _expect(list, plain["custom"])
            found["custom"] = frozenset(", ".join(_names(names)) for names in combinations)
    except (TypeError, ValueError) as error:
        message = f"the types of {name[:80]!r} are not lists of names by inputs and outputs"
        raise ConfigError(message) from error
    return found


def _names(value: object) -> list[str]:
    return [_expect(str, name) for name in _expect(list, value)]


def _expect(kind: type[Expected], value: object) -> Expected:
    if not isinstance(value, kind):
        raise TypeError
    return value
