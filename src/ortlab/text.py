"""Text of others made safe to show, and figures as people read them.

Names of models, tensors, devices and files may hold anything: control characters, marks that turn
the writing direction, half a surrogate pair. They are shown, never obeyed.
"""

from __future__ import annotations

import re
import shlex

LONGEST_TEXT = 4_000
"""Characters of one piece of text that a report shows; a name can be a megabyte long."""

_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f]"
)


def _shown(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code == 0x0A:
        return "↵"
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else f"⟨U+{code:04X}⟩"


def visible(text: str, *, keep_lines: bool = False) -> str:
    """Return text in which every character that acts unseen is shown as a sign.

    Args:
        text: Anything, lone surrogates included.
        keep_lines: Leave line feeds and tabs as they are.
    """
    if not keep_lines:
        return _UNSEEN.sub(_shown, text)
    parts = re.split("([\n\t])", text.replace("\r\n", "\n"))
    return "".join(part if part in ("\n", "\t") else _UNSEEN.sub(_shown, part) for part in parts)


def encodable(text: str) -> str:
    """Return text that UTF-8 can hold; a lone surrogate becomes its escape."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def shorten(text: str, limit: int = LONGEST_TEXT) -> str:
    """Return text of at most ``limit`` characters; the middle goes, since ends tell names apart."""
    if len(text) <= limit:
        return text
    head = (limit - 1 + 1) // 2
    return f"{text[:head]}…{text[len(text) - (limit - 1 - head) :]}"


def shell_quote(argument: str) -> str:
    """Quote an argument for a POSIX shell; what cannot be seen is written as ``$'…'`` escapes."""
    if not _UNSEEN.search(argument):
        return shlex.quote(argument)
    parts = []
    for character in argument:
        if character in ("'", "\\"):
            parts.append(f"\\{character}")
        elif _UNSEEN.match(character):
            raw = character.encode(
                "utf-8",
                "surrogateescape" if "\udc80" <= character <= "\udcff" else "backslashreplace",
            )
            parts.append("".join(f"\\x{byte:02x}" for byte in raw))
        else:
            parts.append(character)
    return f"$'{''.join(parts)}'"


# ------------------------------------------------------------------------------ figures


def duration(duration_ns: float | None) -> str:
    """Return a duration with three digits, such as ``0.812 ms``; a dash for None."""
    if duration_ns is None:
        return "–"
    for ceiling, divisor, unit in ((1e3, 1.0, "ns"), (1e5, 1e3, "µs"), (1e9, 1e6, "ms")):
        if duration_ns < ceiling:
            return f"{three_digits(duration_ns / divisor)} {unit}"
    return f"{three_digits(duration_ns / 1e9)} s"


def three_digits(value: float) -> str:
    """Return a number with three digits that count, without an exponent."""
    if value == 0:
        return "0"
    magnitude = abs(value)
    decimals = 3 if magnitude < 1 else 2 if magnitude < 10 else 1 if magnitude < 100 else 0
    text = f"{value:,.{decimals}f}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    return text.replace("-", "−").replace("inf", "∞")


def size(size_bytes: float | None) -> str:
    """Return a size in powers of ten, such as ``3.60 MB``; a dash for None."""
    if size_bytes is None:
        return "–"
    for unit in ("B", "kB", "MB"):
        if abs(size_bytes) < 1000:
            return f"{size_bytes:.0f} B" if unit == "B" else f"{three_digits(size_bytes)} {unit}"
        size_bytes /= 1000
    return f"{three_digits(size_bytes)} GB"


def percent(fraction: float, *, signed: bool = False) -> str:
    """Return ``0.031`` as ``3.1 %``, with a real minus and never ``−0.0 %``."""
    value = f"{fraction * 100:+.1f}" if signed else f"{fraction * 100:.1f}"
    if float(value) == 0:
        value = "0.0"
    return value.replace("-", "−").replace("inf", "∞") + "\N{NO-BREAK SPACE}%"


def limit(fraction: float) -> str:
    """Return ``0.02`` as ``2 %`` and ``0.025`` as ``2.5 %``."""
    return f"{fraction * 100:.4g}".replace("-", "−") + "\N{NO-BREAK SPACE}%"


def change(ratio: float) -> str:
    """Return a ratio of latencies as a change: ``−34.1 %``, or ``2.41 ×`` from twice as slow."""
    if ratio >= 2 or ratio <= 0.2:
        return times(ratio)
    return percent(ratio - 1, signed=True)


def times(ratio: float) -> str:
    """Return ``2.41`` as ``2.41 ×`` and ``4593`` as ``4593 ×``."""
    whole = 999.5 <= ratio < 1e6
    value = f"{ratio:.0f}" if whole else f"{ratio:.3g}"
    return value.replace("inf", "∞") + "\N{NO-BREAK SPACE}×"
