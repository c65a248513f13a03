"""Commands of the phone's shell as values: what :mod:`shell_language` reads from a text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Literally:
    """Text as it is; where it is not quoted, ``*`` and ``?`` match file names."""

    text: str
    quoted: bool


@dataclass(frozen=True, slots=True)
class Parameter:
    """``$name`` or ``${name…}``.

    Attributes:
        name: Of the parameter.
        quoted: Whether it stays one field.
        operator: ``:-``, ``-``, ``:+``, ``+``, ``#``, ``##``, ``%``, ``%%``, ``length`` or empty.
        word: After the operator.
    """

    name: str
    quoted: bool
    operator: str = ""
    word: Word = ()


@dataclass(frozen=True, slots=True)
class Substitution:
    """``$(…)``: what a command prints."""

    body: Sequence_
    quoted: bool


Part = Literally | Parameter | Substitution
Word = tuple[Part, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirection:
    """Where a descriptor goes.

    Attributes:
        descriptor: 0, 1 or 2.
        kind: From or to a file, appended to one, or to where another descriptor goes.
        target: Path, or the other descriptor.
    """

    descriptor: int
    kind: Literal["<", ">", ">>", ">&"]
    target: Word


@dataclass(frozen=True, slots=True, kw_only=True)
class Simple:
    """Assignments, then a command and its arguments."""

    assignments: tuple[tuple[str, Word], ...]
    words: tuple[Word, ...]
    redirections: tuple[Redirection, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """``{ …; }``, or ``( … )`` which keeps its variables to itself."""

    body: Sequence_
    subshell: bool
    redirections: tuple[Redirection, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class If:
    """Conditions with what follows from each, the last condition empty for ``else``."""

    branches: tuple[tuple[Sequence_ | None, Sequence_], ...]
    redirections: tuple[Redirection, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """``for variable in words``, or ``while``/``until`` a condition."""

    body: Sequence_
    redirections: tuple[Redirection, ...]
    variable: str | None = None
    words: tuple[Word, ...] = ()
    condition: Sequence_ | None = None
    until: bool = False


Command = Simple | Group | If | Loop


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """Commands, each reading what the one before prints."""

    commands: tuple[Command, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequence_:  # noqa: N801 (the name without the underscore is the standard library's)
    """Pipelines with what joins each to the one before: ``;``, ``&&`` or ``||``."""

    items: tuple[tuple[str, Pipeline], ...]
