"""What a failed build means: a cause in plain words, and the next step, by rules.

Several rules may apply to one log, for one failure causes others: the first wins, so what lies
deepest comes first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

Match = re.Match[str]

_LONGEST_CAUSE: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildFailure:
    """Why a build failed.

    Attributes:
        cause: In plain words, a sentence without its full stop.
        next_step: What to do, or None where nothing is known.
    """

    cause: str
    next_step: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Words that a tool prints, and what they mean.

    Attributes:
        pattern: Of the words.
        explain: What they mean; asked where the pattern was found.
    """

    pattern: re.Pattern[str]
    explain: Callable[[Match], BuildFailure]


def rule(pattern: str, cause: str, next_step: str) -> Rule:
    """Return a rule; both texts may name groups of the pattern in braces."""

    def explain(found: Match) -> BuildFailure:
        groups = {name: (text or "").strip() for name, text in found.groupdict().items()}
        said = cause.format(**groups).rstrip(" .")
        return BuildFailure(cause=said, next_step=next_step.format(**groups))

    return Rule(pattern=re.compile(pattern, re.MULTILINE), explain=explain)


def explain_by(rules: Sequence[Rule], log: str, own_words: Callable[[str], str]) -> BuildFailure:
    """Return what the first rule that applies says of a log, else the tool's own words."""
    text = log.replace("\r\n", "\n")
    for item in rules:
        if found := item.pattern.search(text):
            return item.explain(found)
    return BuildFailure(cause=_short(own_words(text)), next_step=None)


def _short(cause: str) -> str:
    return cause if len(cause) <= _LONGEST_CAUSE else f"{cause[:_LONGEST_CAUSE]}…"


def last_line(text: str) -> str:
    """Return the last line that says something, without its full stop."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines[-1].rstrip(".") or lines[-1]) if lines else "it printed nothing"
