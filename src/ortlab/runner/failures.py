"""What went wrong, as stage, kind and the runtime's own words.

Source of the kinds: `bench_protocol/README.md`, "Failures".
"""

# ruff: noqa: UP045 (this file runs on Python 3.8 too)

from __future__ import annotations

import errno
from typing import Any, Optional

if __package__:
    from ortlab.runner import measuring
else:
    import measuring  # type: ignore[import-not-found, no-redef]

# Exceptions of onnxruntime.capi by class name: classes were added over the releases.
_WHEN_CREATING = {
    "NoSuchFile": "model_missing",
    "InvalidProtobuf": "invalid_model",
    "InvalidGraph": "invalid_model",
    "NoModel": "invalid_model",
    "InvalidArgument": "invalid_model",
    "NotImplemented": "unsupported",
    "EPFail": "provider_failed",
    "DeviceReset": "provider_failed",
}
_WHEN_RUNNING = {
    "InvalidArgument": "invalid_input",
    "ValueError": "invalid_input",
    "NotImplemented": "unsupported",
    "EPFail": "provider_failed",
    "DeviceReset": "provider_failed",
}
_RUNNING_STAGES = ("first_run", "warm_up", "measure")
_MEMORY_WORDS = (
    "bad_alloc",
    "failed to allocate memory",
    "cannot allocate memory",
    "failed to map segment",
    "out of memory",
    "bfcarena",
)
_UNSUPPORTED_WORDS = (
    "is not supported",
    "unsupported model ir version",
    "no op registered",
    "is under development",
    "not a registered function/op",
    "failed to find kernel",
    "could not find an implementation",
    "unknown model file format version",
)
_PROVIDER_WORDS = ("executionprovider", "execution provider", "provider option")
_LONGEST_MESSAGE = 4000


class Refused(Exception):  # noqa: N818
    """A failure this program found itself.

    Args:
        kind: Of the protocol's failure kinds.
        message: In a sentence.
        stage: Where it belongs, when not to the stage the block is in.
    """

    def __init__(self, kind: str, message: str, stage: Optional[str] = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.stage = stage


def describe(error: Exception, stage: str) -> dict[str, Any]:
    """Return the protocol's ``Failure``."""
    message = str(error) or type(error).__name__
    if isinstance(error, Refused) and error.stage is not None:
        stage = error.stage
    return {"stage": stage, "kind": kind_of(error, stage), "message": message[:_LONGEST_MESSAGE]}


def kind_of(error: Exception, stage: str) -> str:
    """Return the failure kind of an exception met in a stage."""
    if isinstance(error, Refused):
        return error.kind
    if isinstance(error, measuring.DeadlineReached):
        return "deadline"
    text = str(error).lower()
    if isinstance(error, MemoryError) or any(word in text for word in _MEMORY_WORDS):
        return "out_of_memory"
    if isinstance(error, OSError):
        return "out_of_memory" if error.errno == errno.ENOMEM else "storage"
    name = type(error).__name__
    if stage in _RUNNING_STAGES:
        return _WHEN_RUNNING.get(name, "runtime_error")
    if stage == "create_session":
        if any(word in text for word in _UNSUPPORTED_WORDS):
            return "unsupported"
        if name == "Fail" and "load model from" in text:
            return "invalid_model"
        about_provider = any(word in text for word in _PROVIDER_WORDS)
        otherwise = "provider_failed" if about_provider else "runtime_error"
        return _WHEN_CREATING.get(name, otherwise)
    return "runtime_error"
