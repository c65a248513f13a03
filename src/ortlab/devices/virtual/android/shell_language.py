"""The phone's shell as a language: text to a tree.

A part of the POSIX shell command language (IEEE Std 1003.1, "Shell Command Language"): quoting,
lists with ``; & && || !``, pipelines, groups, ``if``, ``for`` and ``while``, redirections,
parameters with the common forms of ``${…}``, and command substitution. What is not known is
refused with :class:`ShellSyntaxError`, never taken for something else.
"""

from __future__ import annotations

import re
from typing import Final, Literal

from ortlab.devices.virtual.android.shell_tree import (
    Command,
    Group,
    If,
    Literally,
    Loop,
    Parameter,
    Part,
    Pipeline,
    Redirection,
    Sequence_,
    Simple,
    Substitution,
    Word,
)

_OPERATORS: Final = ("&&", "||", ";;", ">>", "<<", ">&", "<&", ";", "&", "|", "(", ")", "<", ">")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ASSIGNMENT: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=")
_SPECIAL: Final = "?$#@*!0123456789"
_ENDINGS: Final = frozenset({"then", "elif", "else", "fi", "do", "done", "}"})
_LONGEST_TEXT: Final = 1 << 20
_DEEPEST: Final = 50


class ShellSyntaxError(Exception):
    """The text is no command of this language."""


def parse(text: str) -> Sequence_:
    """Parse a command line.

    Raises:
        ShellSyntaxError: It is none of this language.
    """
    if len(text) > _LONGEST_TEXT:
        message = "argument list too long"
        raise ShellSyntaxError(message)
    parser = _Parser(text, depth=0)
    body = parser.sequence()
    parser.expect_end()
    return body


# ------------------------------------------------------------------------------ reading


class _Parser:
    """A recursive-descent parser without a token list: what a word is depends on its place."""

    def __init__(self, text: str, *, depth: int, position: int = 0) -> None:
        if depth > _DEEPEST:
            message = "syntax error: nested too deeply"
            raise ShellSyntaxError(message)
        self._text = text
        self._position = position
        self._depth = depth

    # ---------------------------------------------------------------------- characters

    def _blank(self) -> None:
        """Pass blanks, continued lines and comments."""
        while self._position < len(self._text):
            if self._text[self._position] in " \t\r":
                self._position += 1
            elif self._text.startswith("\\\n", self._position):
                self._position += 2
            elif self._text[self._position] == "#":
                end = self._text.find("\n", self._position)
                self._position = end if end >= 0 else len(self._text)
            else:
                return

    def _operator(self) -> str:
        """Return the operator that comes next, or an empty text."""
        self._blank()
        if self._text.startswith("\n", self._position):
            return "\n"
        for operator in _OPERATORS:
            if self._text.startswith(operator, self._position):
                return operator
        return ""

    def _take(self, operator: str) -> bool:
        if self._operator() != operator:
            return False
        self._position += len(operator)
        return True

    def _newlines(self) -> None:
        while self._take("\n"):
            pass

    def _at_end(self) -> bool:
        self._blank()
        return self._position >= len(self._text)

    def expect_end(self) -> None:
        """Refuse anything after the end.

        Raises:
            ShellSyntaxError: There is something.
        """
        if not self._at_end():
            raise self._unexpected()

    def end_of_substitution(self) -> int:
        """Take the closing parenthesis and return the place after it.

        Raises:
            ShellSyntaxError: It is missing.
        """
        if not self._take(")"):
            raise self._unexpected()
        return self._position

    def _unexpected(self) -> ShellSyntaxError:
        found = self._operator() or self._text[self._position : self._position + 20]
        return ShellSyntaxError(f"syntax error: unexpected '{found or 'EOF'}'".replace("\n", "\\n"))

    # ---------------------------------------------------------------------- lists

    def sequence(self) -> Sequence_:
        """Read pipelines up to a closing word, a closing parenthesis or the end."""
        items: list[tuple[str, Pipeline]] = []
        joint = ";"
        self._newlines()
        while not self._at_end() and self._operator() != ")" and self._reserved() not in _ENDINGS:
            items.append((joint, self._pipeline()))
            operator = self._operator()
            if operator in ("&&", "||"):
                self._take(operator)
                self._newlines()
                joint = operator
                continue
            joint = ";"
            if operator not in (";", "\n"):
                break
            self._take(operator)
            self._newlines()
        if joint != ";":
            raise self._unexpected()
        return Sequence_(items=tuple(items))

    def _pipeline(self) -> Pipeline:
        negated = False
        while self._reserved() == "!":
            self._position += 1
            negated = not negated
        commands = [self._command()]
        while self._take("|"):
            self._newlines()
            commands.append(self._command())
        return Pipeline(commands=tuple(commands), negated=negated)

    def _reserved(self) -> str:
        """Return the bare word that comes next, without taking it."""
        self._blank()
        end = self._position
        while end < len(self._text) and self._text[end] not in " \t\r\n;&|()<>\"'\\$`":
            end += 1
        if end < len(self._text) and self._text[end] in "\"'\\$`":
            return ""
        return self._text[self._position : end]

    def _word_taken(self, word: str) -> bool:
        if self._reserved() != word:
            return False
        self._position += len(word)
        return True

    def _need(self, word: str) -> None:
        if not self._word_taken(word):
            raise self._unexpected()

    # ---------------------------------------------------------------------- commands

    def _command(self) -> Command:
        self._depth += 1
        if self._depth > _DEEPEST:
            message = "syntax error: nested too deeply"
            raise ShellSyntaxError(message)
        try:
            if self._take("("):
                body = self.sequence()
                if not self._take(")"):
                    raise self._unexpected()
                return Group(body=body, subshell=True, redirections=self._redirections())
            reader = {
                "{": self._group,
                "if": self._if,
                "for": self._for,
                "while": self._while,
                "until": self._while,
            }.get(self._reserved())
            return reader() if reader else self._simple()
        finally:
            self._depth -= 1

    def _group(self) -> Command:
        self._need("{")
        body = self.sequence()
        self._need("}")
        return Group(body=body, subshell=False, redirections=self._redirections())

    def _if(self) -> Command:
        branches: list[tuple[Sequence_ | None, Sequence_]] = []
        word = "if"
        while word in ("if", "elif"):
            self._need(word)
            condition = self.sequence()
            self._need("then")
            branches.append((condition, self.sequence()))
            word = self._reserved()
        if self._word_taken("else"):
            branches.append((None, self.sequence()))
        self._need("fi")
        return If(branches=tuple(branches), redirections=self._redirections())

    def _for(self) -> Command:
        self._need("for")
        name = self._reserved()
        if not _NAME.fullmatch(name):
            raise self._unexpected()
        self._position += len(name)
        words = []
        if self._word_taken("in"):
            while self._operator() == "" and not self._at_end():
                words.append(self._word())
        if not self._take(";") and not self._take("\n"):
            raise self._unexpected()
        self._newlines()
        self._need("do")
        body = self.sequence()
        self._need("done")
        return Loop(body=body, redirections=self._redirections(), variable=name, words=tuple(words))

    def _while(self) -> Command:
        until = self._reserved() == "until"
        self._need("until" if until else "while")
        condition = self.sequence()
        self._need("do")
        body = self.sequence()
        self._need("done")
        return Loop(body=body, redirections=self._redirections(), condition=condition, until=until)

    def _simple(self) -> Simple:
        assignments: list[tuple[str, Word]] = []
        words: list[Word] = []
        redirections: list[Redirection] = []
        while True:
            redirection = self._redirection()
            if redirection is not None:
                redirections.append(redirection)
                continue
            if self._operator() or self._at_end():
                break
            match = None if words else _ASSIGNMENT.match(self._text, self._position)
            if match:
                self._position = match.end()
                at_end = self._position >= len(self._text)
                ends = at_end or self._text[self._position] in " \t\r\n;&|()<>"
                assignments.append((match[1], () if ends else self._word()))
            else:
                words.append(self._word())
        if not (assignments or words or redirections):
            raise self._unexpected()
        return Simple(
            assignments=tuple(assignments), words=tuple(words), redirections=tuple(redirections)
        )

    def _redirections(self) -> tuple[Redirection, ...]:
        found = []
        while (redirection := self._redirection()) is not None:
            found.append(redirection)
        return tuple(found)

    def _redirection(self) -> Redirection | None:
        self._blank()
        match = re.compile(r"([0-9]?)(>>|>&|>|<(?![<&]))").match(self._text, self._position)
        if not match:
            return None
        self._position = match.end()
        default = 0 if match[2] == "<" else 1
        descriptor = int(match[1]) if match[1] else default
        self._blank()
        if self._operator() or self._at_end():
            raise self._unexpected()
        kind: Literal["<", ">", ">>", ">&"] = match[2]  # type: ignore[assignment]
        return Redirection(descriptor=descriptor, kind=kind, target=self._word())

    # ---------------------------------------------------------------------- words

    def _word(self) -> Word:
        self._blank()
        parts: list[Part] = []
        text = self._text
        while self._position < len(text) and text[self._position] not in " \t\r\n;&|()<>":
            character = text[self._position]
            if character == "\\":
                self._position += 1
                if self._position >= len(text):
                    parts.append(Literally("\\", quoted=True))
                elif text[self._position] == "\n":
                    self._position += 1
                else:
                    parts.append(Literally(text[self._position], quoted=True))
                    self._position += 1
            elif character == "'":
                end = text.find("'", self._position + 1)
                if end < 0:
                    message = "syntax error: no closing quote"
                    raise ShellSyntaxError(message)
                parts.append(Literally(text[self._position + 1 : end], quoted=True))
                self._position = end + 1
            elif character == '"':
                self._position += 1
                parts += self._double_quoted()
            elif character in "$`":
                parts.append(self._dollar(quoted=False))
            else:
                parts.append(Literally(character, quoted=False))
                self._position += 1
        return _with_home(_joined(parts))

    def _double_quoted(self) -> list[Part]:
        parts: list[Part] = [Literally("", quoted=True)]
        text = self._text
        while self._position < len(text):
            character = text[self._position]
            if character == '"':
                self._position += 1
                return parts
            if character == "\\" and text[self._position + 1 : self._position + 2] in (
                *('"', "$", "`", "\\", "\n"),
            ):
                escaped = text[self._position + 1]
                if escaped != "\n":
                    parts.append(Literally(escaped, quoted=True))
                self._position += 2
            elif character in "$`":
                parts.append(self._dollar(quoted=True))
            else:
                parts.append(Literally(character, quoted=True))
                self._position += 1
        message = "syntax error: no closing quote"
        raise ShellSyntaxError(message)

    def _dollar(self, *, quoted: bool) -> Part:
        text = self._text
        if text[self._position] == "`":
            message = "syntax error: backquotes are not known, use $(…)"
            raise ShellSyntaxError(message)
        self._position += 1
        following = text[self._position : self._position + 1]
        if following == "(":
            if text.startswith("((", self._position):
                message = "syntax error: arithmetic is not known"
                raise ShellSyntaxError(message)
            inner = _Parser(text, depth=self._depth + 1, position=self._position + 1)
            body = inner.sequence()
            self._position = inner.end_of_substitution()
            return Substitution(body, quoted)
        if following == "{":
            return self._braced(quoted=quoted)
        match = _NAME.match(text, self._position)
        if match:
            self._position = match.end()
            return Parameter(match[0], quoted)
        if following and following in _SPECIAL:
            self._position += 1
            return Parameter(following, quoted)
        return Literally("$", quoted)

    def _braced(self, *, quoted: bool) -> Part:
        pattern = re.compile(r"\{(#?)([A-Za-z_]\w*|[?$#@*0-9])(:-|-|:\+|\+|##|#|%%|%|)")
        match = pattern.match(self._text, self._position)
        if not match:
            message = "syntax error: bad substitution"
            raise ShellSyntaxError(message)
        self._position = match.end()
        length, name, operator = match.groups()
        word: list[Part] = []
        while self._position < len(self._text) and self._text[self._position] != "}":
            character = self._text[self._position]
            if character in "$`":
                word.append(self._dollar(quoted=True))
            elif character in "\"'\\":
                message = "syntax error: quotes within ${} are not known"
                raise ShellSyntaxError(message)
            else:
                word.append(Literally(character, quoted=quoted))
                self._position += 1
        if self._position >= len(self._text) or (word and not operator) or (length and operator):
            message = "syntax error: bad substitution"
            raise ShellSyntaxError(message)
        self._position += 1
        return Parameter(name, quoted, "length" if length else operator, _joined(word))


def _with_home(word: Word) -> Word:
    """Return a word whose ``~``, alone or before a slash, is the home directory; others stay."""
    first = word[0] if word else None
    if not isinstance(first, Literally) or first.quoted or first.text[:1] != "~":
        return word
    rest = first.text[1:]
    if rest[:1] != "/" and (rest or len(word) > 1):
        return word
    home = Parameter("HOME", quoted=True)
    return (home, Literally(rest, quoted=False), *word[1:]) if rest else (home,)


def _joined(parts: list[Part]) -> Word:
    """Return the parts with neighbouring literals of a kind made one."""
    joined: list[Part] = []
    for part in parts:
        last = joined[-1] if joined else None
        if (
            isinstance(part, Literally)
            and isinstance(last, Literally)
            and part.quoted == last.quoted
        ):
            joined[-1] = Literally(last.text + part.text, part.quoted)
        else:
            joined.append(part)
    return tuple(joined)
