"""Settings in a JSON object: hostile values written, single keys changed, all else as it means.

Values are handled as they stand in the file: :func:`json_value` makes one of anything. A file
that needs no change stays byte for byte; otherwise it is laid out anew, with the order of its keys.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from ortlab.errors import UsageError
from ortlab.scaffold.settings_file import Merged, SettingsFormat

_INDENT: Final = 2


def json_value(value: object) -> str:
    """Return how a value stands in a file: printable, whatever a text holds."""
    return _printable(json.dumps(value, ensure_ascii=False))


def read_json_settings(data: bytes) -> dict[str, str]:
    """Return the values of a file as they stand there.

    Raises:
        UsageError: It is no JSON object.
    """
    return {key: json_value(value) for key, value in _object(data).items()}


def merge_json_settings(
    data: bytes, wanted: Mapping[str, str | None], written: Mapping[str, str]
) -> Merged:
    """Give keys the values that are wanted; every other key stays as it is.

    Args:
        data: The file.
        wanted: Key to its value as it stands there; None for a key that must not be there.
        written: What was written last, likewise. A value that the user changed since stays where
            the same value is still wanted.

    Raises:
        UsageError: The file is no JSON object.
    """
    plain = _object(data)
    found = {key: json_value(value) for key, value in plain.items()}
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
    changes = {k: v for k, v in wanted.items() if k not in kept and found.get(k) != v}
    if changes:
        for key, value in changes.items():
            if value is None:
                del plain[key]
            else:
                plain[key] = json.loads(value)
        text = json.dumps(plain, indent=_INDENT, ensure_ascii=False)
        data = f"{_printable(text)}\n".encode()
    return Merged(data=data, kept=kept, replaced=replaced)


def _object(data: bytes) -> dict[str, Any]:
    try:
        plain = json.loads(data.decode("utf-8-sig"))
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        message = f"cannot read the project's settings: they are no JSON: {error}"
        raise UsageError(message, next_step="mend the file, or delete it") from error
    if not isinstance(plain, dict):
        message = "cannot read the project's settings: they are no JSON object"
        raise UsageError(message, next_step="mend the file, or delete it")
    return plain


def _printable(text: str) -> str:
    return "".join(
        character if character.isprintable() or character == "\n" else _escaped(character)
        for character in text
    )


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


JSON_SETTINGS: Final = SettingsFormat(read=read_json_settings, merge=merge_json_settings)
