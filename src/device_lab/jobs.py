"""A job file to a `JobSpec`; whatever means nothing is refused with its place.

    name = "nightly"
    models = ["prepared/reader", "prepared/detector"]
    priority = 5                            # a higher one goes first
    deadline = 2026-11-22T06:00:00Z
    retries = 2

    [requirements]
    platform = "android"
    soc = "SM8650"
    min_os = "13"
    max_os = "15"
    min_memory_bytes = 6_000_000_000
    labels = ["rack-1"]
    phone_count = 2

    [bench]                                 # as in ortlab.toml
    threads = [1, 4]

The phones and the directory of the results are the lab's to choose, so ``[bench]`` names neither.
"""

from __future__ import annotations

import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from device_lab.values import JobSpec, Requirements
from ortlab.config import BenchSection, parse_config
from ortlab.domain import DeviceKind
from ortlab.errors import UsageError

MAX_FILE_BYTES = 1 << 20
MAX_TEXT_CHARACTERS = 1000
MAX_ITEMS = 10_000
_VERSION = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9}){0,5}")
_OF_THE_LAB = {
    "output": "the lab keeps the results in its store",
    "device": "[requirements] says which phones may run the job",
    "by_hand": "nobody is there to open the app",
}


def load_job(path: Path) -> JobSpec:
    """Read a job file.

    Raises:
        UsageError: The file is missing, too large, no TOML, or says what means nothing.
    """
    try:
        # A pipe or a device file would keep us waiting, or never end.
        if path.exists() and not path.is_file():
            message = f"cannot read {_shown(str(path))}: it is not a file"
            raise UsageError(message)
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        message = f"cannot read {_shown(str(path))}: {why}"
        raise UsageError(message) from error
    return parse_job(content, source=str(path))


def parse_job(content: bytes, *, source: str) -> JobSpec:
    """Check the bytes of a job file.

    Args:
        content: TOML in UTF-8.
        source: Where they come from, for the message.

    Raises:
        UsageError: The bytes are no TOML, or a key or a value means nothing; the message names
            its place.
    """
    shown = _shown(source)
    if len(content) > MAX_FILE_BYTES:
        message = f"cannot use {shown}: it is larger than {MAX_FILE_BYTES} bytes"
        raise UsageError(message)
    try:
        plain = tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:
        # ValueError is the root of the decoders' errors, and what a number of 5,000 digits raises.
        message = f"cannot read {shown}: it is not TOML that we can use: {_shown(str(error))}"
        raise UsageError(message) from error
    return spec_of(plain, source=source)


def spec_of(plain: dict[str, Any], *, source: str) -> JobSpec:
    """Check what a job file says, however it was said.

    Args:
        plain: As TOML gives it.
        source: Where it comes from, for the message.

    Raises:
        UsageError: A key or a value means nothing; the message names its place.
    """
    return _Table(plain, source=_shown(source), place="").job()


class _Table:
    """A table of the file whose keys are taken one by one; what is left over is refused."""

    def __init__(self, plain: dict[str, Any], *, source: str, place: str) -> None:
        self._left = dict(plain)
        self._source = source
        self._place = place

    def job(self) -> JobSpec:
        models = self._texts("models")
        if not models:
            self._refuse("models", "it must name at least one model")
        spec = JobSpec(
            name=self._text("name") or self._refuse("name", "it is missing"),
            models=models,
            priority=self._whole("priority", default=0, least=-1000, most=1000),
            deadline=self._time("deadline"),
            retries=self._whole("retries", default=2, least=0, most=20),
            requirements=self._table("requirements").requirements(),
            bench=self._bench(),
        )
        self._nothing_left()
        return spec

    def requirements(self) -> Requirements:
        platform = self._text("platform")
        kinds = [str(kind) for kind in DeviceKind]
        if platform is not None and platform not in kinds:
            self._refuse("platform", f"it must be one of {', '.join(kinds)}")
        memory = self._whole("min_memory_bytes", default=0, least=0, most=1 << 50)
        required = Requirements(
            platform=None if platform is None else DeviceKind(platform),
            soc=self._text("soc"),
            min_os=self._version("min_os"),
            max_os=self._version("max_os"),
            min_memory_bytes=memory or None,
            labels=tuple(sorted(self._texts("labels"))),
            phone_count=self._whole("phone_count", default=1, least=1, most=10_000),
        )
        self._nothing_left()
        return required

    def _bench(self) -> BenchSection:
        plain = self._left.pop("bench", {})
        if not isinstance(plain, dict):
            self._refuse("bench", "it must be a table")
        for key, why in _OF_THE_LAB.items():
            if key in plain:
                self._refuse(f"bench.{key}", f"a job cannot set it: {why}")
        whole = {"model": {"path": "model.onnx"}, "bench": plain}
        try:
            return parse_config(whole, source=self._source).bench
        except UsageError as error:
            message = _shown(error.message)
            raise UsageError(message, next_step="ortlab bench --help") from error

    def _table(self, key: str) -> _Table:
        plain = self._left.pop(key, {})
        if not isinstance(plain, dict):
            self._refuse(key, "it must be a table")
        return _Table(plain, source=self._source, place=f"{key}.")

    def _text(self, key: str) -> str | None:
        value = self._left.pop(key, None)
        return None if value is None else self._checked(key, value)

    def _texts(self, key: str) -> tuple[str, ...]:
        value = self._left.pop(key, [])
        if not isinstance(value, list) or len(value) > MAX_ITEMS:
            self._refuse(key, f"it must be an array of at most {MAX_ITEMS} texts")
        texts = tuple(self._checked(f"{key}[{at}]", item) for at, item in enumerate(value))
        if len(set(texts)) < len(texts):
            self._refuse(key, "it names something twice")
        return texts

    def _checked(self, key: str, value: object) -> str:
        if not isinstance(value, str):
            self._refuse(key, "it must be a text")
        if not value.strip() or not value.isprintable() or len(value) > MAX_TEXT_CHARACTERS:
            self._refuse(
                key, f"it must be 1 to {MAX_TEXT_CHARACTERS} printable characters, not only spaces"
            )
        return value

    def _whole(self, key: str, *, default: int, least: int, most: int) -> int:
        value = self._left.pop(key, default)
        # A boolean is an int to Python, not to a person.
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self._refuse(key, f"it must be a whole number from {least} to {most}")
        return value

    def _version(self, key: str) -> str | None:
        text = self._text(key)
        if text is not None and not _VERSION.fullmatch(text):
            self._refuse(key, 'it must be a version in quotes, such as "13" or "17.4"')
        return text

    def _time(self, key: str) -> datetime | None:
        value = self._left.pop(key, None)
        if value is None:
            return None
        if not isinstance(value, datetime) or value.tzinfo is None:
            self._refuse(key, "it must be a time with its zone, such as 2026-11-22T06:00:00Z")
        try:
            return value.astimezone(UTC)
        except OverflowError:
            self._refuse(key, "that time is out of range in UTC")

    def _nothing_left(self) -> None:
        if self._left:
            self._refuse(min(self._left), "there is no such key")

    def _refuse(self, key: str, why: str) -> NoReturn:
        message = f"cannot use {self._source}: {self._place}{_shown(key)}: {why}"
        raise UsageError(message)


def _shown(text: str) -> str:
    """Return a text of others as one printable line of bounded length."""
    plain = "".join(c if c.isprintable() else "?" for c in text)
    return plain if len(plain) <= MAX_TEXT_CHARACTERS else plain[: MAX_TEXT_CHARACTERS - 1] + "…"
