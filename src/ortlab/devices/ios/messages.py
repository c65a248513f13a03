"""What is said between this process and the one that speaks to an iPhone: lines of JSON.

A question has a number; while it is worked on, events with that number may follow, and at its end
one answer: a value or a problem. ``{"cancel": number}`` ends the work on a question early.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Action(StrEnum):
    """What the worker can be asked."""

    ATTACHED = "attached"
    CONNECT = "connect"
    STATUS = "status"
    MOUNT = "mount"
    APP = "app"
    INSTALL = "install"
    UNINSTALL = "uninstall"
    SIZES = "sizes"
    HASHES = "hashes"
    SEND = "send"
    FETCH = "fetch"
    REMOVE = "remove"
    RUN = "run"
    REPORTS = "reports"


class EventKind(StrEnum):
    """What is told while a question is worked on."""

    SAY = "say"
    STAGE = "stage"
    PERCENT = "percent"


class BadMessageError(Exception):
    """A line is no message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question to the worker.

    Attributes:
        number: Of the question.
        action: What is asked.
        deadline_s: In which it must be answered.
        arguments: Of the action.
    """

    number: int
    action: Action
    deadline_s: float
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that is told on the way.

    Attributes:
        number: Of the question.
        kind: What.
        text: In words, or the stage, or the number of percent.
    """

    number: int
    kind: EventKind
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why a question has no answer.

    Attributes:
        names: Of the exception's class and of those it descends from, the nearest first.
        words: The exception's own.
        doing: What was being done, in words.
        attached: Whether the phone is still there, where that was looked at.
        code: The phone's own code, where it gave one.
    """

    names: tuple[str, ...]
    words: str
    doing: str = ""
    attached: bool | None = None
    code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The end of a question.

    Attributes:
        number: Of the question.
        value: That was found.
        problem: Why there is none, or None.
    """

    number: int
    value: Any = None
    problem: Problem | None = None


def to_line(message: Question | Event | Answer) -> bytes:
    """Return a message as it travels."""
    return json.dumps({"type": type(message).__name__, **asdict(message)}).encode() + b"\n"


def cancel_line(number: int) -> bytes:
    """Return the wish that a question be given up."""
    return json.dumps({"cancel": number}).encode() + b"\n"


def question_of(line: bytes) -> Question | int:
    """Read what the worker is told: a question, or the number of one that is given up.

    Raises:
        BadMessageError: It is neither.
    """
    content = _content(line)
    try:
        if "cancel" in content:
            return int(content["cancel"])
        return Question(
            number=int(content["number"]),
            action=Action(content["action"]),
            deadline_s=float(content["deadline_s"]),
            arguments=dict(content["arguments"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadMessageError(str(error)) from error


def reply_of(line: bytes) -> Event | Answer:
    """Read what the worker tells.

    Raises:
        BadMessageError: It is neither an event nor an answer.
    """
    content = _content(line)
    try:
        number = int(content["number"])
        if content["type"] == Event.__name__:
            return Event(number=number, kind=EventKind(content["kind"]), text=str(content["text"]))
        told = content["problem"]
        problem = None
        if told is not None:
            problem = Problem(
                names=tuple(str(name) for name in told["names"]),
                words=str(told["words"]),
                doing=str(told["doing"]),
                attached=told["attached"],
                code=str(told["code"]),
            )
        return Answer(number=number, value=content["value"], problem=problem)
    except (KeyError, TypeError, ValueError) as error:
        raise BadMessageError(str(error)) from error


def _content(line: bytes) -> dict[str, Any]:
    try:
        content = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadMessageError(str(error)) from error
    if not isinstance(content, dict):
        message = "a message is an object"
        raise BadMessageError(message)
    return content
