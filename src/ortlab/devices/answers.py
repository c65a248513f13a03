"""What a runner left in its directory, read as strictly as a stranger's.

Source of the files: `bench_protocol/README.md`, "Files".
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from ortlab import codec
from ortlab.errors import StorageError
from ortlab.wire import BlockResult, Death, DeathKind, FailureKind, Stage

RESULT: Final = "result.json"
PROGRESS: Final = "progress"

_SAFE_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,120}")
_LARGEST_RESULT_BYTES: Final = 256 << 20
_BLAMING_FILES: Final = frozenset(
    {
        FailureKind.MODEL_CHANGED,
        FailureKind.MODEL_MISSING,
        FailureKind.INPUT_MISSING,
        FailureKind.INVALID_INPUT,
    }
)


class BadAnswerError(Exception):
    """There is no valid answer; caught by the adapter, which knows how the runner ended.

    Args:
        kind: What a driver calls it.
        message: In a sentence.
    """

    def __init__(self, kind: DeathKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


def read_result(directory: Path, block_id: str) -> BlockResult:
    """Read the result of a block and make its paths absolute.

    Args:
        directory: Where the runner's files are now.
        block_id: Of the request.

    Raises:
        BadAnswerError: There is none, or none that answers this block and can be true.
    """
    path = directory / RESULT
    try:
        if path.stat().st_size > _LARGEST_RESULT_BYTES:
            raise BadAnswerError(DeathKind.GARBLED_RESULT, "the runner's result is too large")
        text = path.read_bytes()
    except OSError as error:
        message = "the runner ended without an answer"
        raise BadAnswerError(DeathKind.NO_RESULT, message) from error
    try:
        result = codec.from_json(BlockResult, text, source=f"the answer to {block_id}")
    except StorageError as error:
        raise BadAnswerError(DeathKind.GARBLED_RESULT, error.message) from error
    if result.block_id != block_id:
        message = f"the runner answered for block {result.block_id!r}, not for {block_id!r}"
        raise BadAnswerError(DeathKind.WRONG_BLOCK, message)
    if any(number < 0 for number in _sizes(result)):
        message = "the runner's result holds a negative duration or size"
        raise BadAnswerError(DeathKind.GARBLED_RESULT, message)
    outputs = tuple(replace(item, path=_inside(directory, item.path)) for item in result.outputs)
    profile = result.profile_path
    if profile is not None:
        profile = _inside(directory, profile)
    return replace(result, outputs=outputs, profile_path=profile)


def directory_name(block_id: str) -> str:
    """Return the name of a block's directory on a phone: its id, where that is plain text."""
    if _SAFE_NAME.fullmatch(block_id):
        return block_id
    return hashlib.sha256(block_id.encode(errors="surrogatepass")).hexdigest()


def named_files(result: Path) -> Iterator[str]:
    """Yield the files that a result names, as far as it can be read and they are safe to write."""
    try:
        answer = json.loads(result.read_bytes())
    except (OSError, ValueError, RecursionError):
        return
    if not isinstance(answer, dict):
        return
    outputs = answer.get("outputs")
    paths: list[Any] = [answer.get("profile_path")]
    if isinstance(outputs, list):
        paths += [item.get("path") for item in outputs if isinstance(item, dict)]
    for path in paths:
        if isinstance(path, str) and _SAFE_NAME.fullmatch(path) and path != RESULT:
            yield path


def last_stage(directory: Path) -> Stage | None:
    """Return the newest progress mark; a torn or unknown one does not count."""
    last = None
    with contextlib.suppress(OSError):
        for line in (directory / PROGRESS).read_text(errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                last = Stage(line)
    return last


def blames_its_files(answer: BlockResult | Death) -> bool:
    """Whether a block failed as it would if what a phone had kept of its files were damaged."""
    return (
        isinstance(answer, BlockResult)
        and answer.failure is not None
        and answer.failure.kind in _BLAMING_FILES
    )


def _sizes(result: BlockResult) -> Iterator[int]:
    timing = result.timing
    for number in (
        timing.environment_ns,
        timing.load_model_ns,
        timing.session_creation_ns,
        timing.first_run_ns,
        timing.close_ns,
    ):
        yield number or 0
    yield from timing.warm_up_ns
    yield from timing.measured_ns
    yield result.clock.resolution_ns
    for point in result.memory:
        yield point.size_bytes


def _inside(directory: Path, name: str) -> str:
    """Return the absolute path of a file that must be in the directory.

    Raises:
        BadAnswerError: It is not.
    """
    with contextlib.suppress(OSError, ValueError):
        path = (directory / name).resolve(strict=True)
        if path.is_relative_to(directory.resolve()) and path.is_file():
            return str(directory / name)
    message = f"the runner's result names {name!r}, which is no file in its directory"
    raise BadAnswerError(DeathKind.GARBLED_RESULT, message)
