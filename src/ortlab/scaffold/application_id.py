"""Application ids: what Android and the build take, and what may have been meant.

Source: Android's documentation of the application id; words that Java reserves cannot name a part.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from ortlab.errors import UsageError

LONGEST: Final = 217
"""Android's limit of 223, less the suffix of the benchmark app."""
LONGEST_BUNDLE_ID: Final = 149
"""What App Store Connect takes, 155, less the suffix of the benchmark app."""
_LEAST_PARTS: Final = 2
_PART: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_BUNDLE_PART: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
_DEFAULT_PREFIX: Final = "com.example"
_WORDS: Final = (
    "abstract assert boolean break byte case catch char class const continue default do double else"
    " enum extends false final finally float for goto if implements import instanceof int interface"
    " long native new null package private protected public return short static strictfp super"
    " switch synchronized this throw throws transient true try void volatile while"
)
_RESERVED: Final = frozenset(_WORDS.split())


def check_application_id(text: str) -> None:
    """Refuse an application id that Android or the build would not take.

    Raises:
        UsageError: It is none; the message says why, the next step what may have been meant.
    """
    reason = _why_not(text)
    if reason:
        message = f"cannot use {text!r} as the application id: {reason}"
        raise UsageError(message, next_step=f"try {suggested_id(text)}")


def suggested_id(text: str) -> str:
    """Return an application id that reads like a text: an id with mistakes, or an app's name."""
    parts = [_part(part) for part in text.split(".")]
    parts = [part for part in parts if part]
    if not parts:
        parts = ["app"]
    if len(parts) < _LEAST_PARTS:
        parts = [*_DEFAULT_PREFIX.split("."), *parts]
    return ".".join(parts)[:LONGEST].rstrip(".")


def bundle_id(text: str) -> tuple[str, tuple[str, ...]]:
    """Return the bundle id for an iOS app, and in a sentence what had to be changed for it.

    Apple takes letters, digits, hyphens and dots; where Android's underscores stand, hyphens do.
    Source: Apple's documentation of ``CFBundleIdentifier``.

    Raises:
        UsageError: It is none; the message says why, the next step what may have been meant.
    """
    changed = text.replace("_", "-")
    parts = changed.split(".")
    reason = ""
    if len(changed) > LONGEST_BUNDLE_ID:
        reason = f"it has {len(changed)} characters, and {LONGEST_BUNDLE_ID} are allowed"
    elif len(parts) < _LEAST_PARTS:
        reason = "it needs at least two parts with a dot between, such as com.example.reader"
    elif not all(map(_BUNDLE_PART.fullmatch, parts)):
        reason = "its parts are of ASCII letters, digits and hyphens, with a letter or digit first"
    if reason:
        suggested = suggested_id(text)[:LONGEST_BUNDLE_ID].rstrip(".").replace("_", "-")
        message = f"cannot use {text!r} as the bundle id: {reason}"
        raise UsageError(message, next_step=f"try {suggested}")
    notes = () if changed == text else (f"the bundle id is {changed}: Apple takes no underscore",)
    return changed, notes


def _why_not(text: str) -> str:
    parts = text.split(".")
    if len(text) > LONGEST:
        return f"it has {len(text)} characters, and {LONGEST} are allowed"
    if len(parts) < _LEAST_PARTS:
        return "it needs at least two parts with a dot between, such as com.example.reader"
    for part in parts:
        if not part:
            return "two dots stand together, or one at an end"
        if not _PART.fullmatch(part):
            return (
                f"{part!r} is no part of one: a letter first, then letters, digits and _ of ASCII"
            )
        if part in _RESERVED:
            return f"{part!r} is a reserved word of Java"
    return ""


def _part(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")
    part = re.sub(r"[^A-Za-z0-9_]+", "", plain).strip("_")
    if not part:
        return ""
    if not part[0].isalpha():
        part = f"app{part}"
    return f"{part}_app" if part in _RESERVED else part.lower()
