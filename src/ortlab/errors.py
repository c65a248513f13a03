"""Every error a user can meet, one root, an exit code per family.

    OrtlabError
    ├── UsageError            2   a command line or configuration that cannot mean anything
    ├── ModelError            3   the model: invalid, unsupported, refused, out of tolerance
    ├── ToolchainError        4   a program we need is missing or failed
    ├── DeviceError           5   a device is absent, not ready, or was lost
    │   ├── DeviceLostError           it was there and answers no more
    │   ├── DeviceNotReadyError       a person has to do something at the device
    │   ├── DeviceTimeoutError        it is there, but did not answer in time
    │   └── InstallError              it refuses the app
    ├── BenchmarkError        6   an experiment could not be carried out
    ├── GateFailedError       7   a gate's limit is exceeded
    ├── GateInconclusiveError 8   a gate cannot decide
    ├── StorageError          9   disk full, read-only, locked
    └── InterruptedRunError 130   Ctrl-C, SIGTERM

A message says what could not be done, to which thing, and why; ``next_step`` is the command or
action that helps; ``log_path`` names the file with the raw output of the tool. Anything that is
not an ``OrtlabError`` is a bug of ours and ends with exit code 70.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

BUG_EXIT_CODE = 70


class OrtlabError(Exception):
    """Root of the tree; never raised itself.

    Args:
        message: What could not be done, to which thing, and why. One or two sentences.
        next_step: The command to run or the thing to change.
        log_path: File that holds the raw output of the tool that failed.
    """

    exit_code: ClassVar[int] = BUG_EXIT_CODE

    def __init__(
        self, message: str, *, next_step: str | None = None, log_path: Path | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
        self.log_path = log_path


class UsageError(OrtlabError):
    """The command line or the configuration cannot mean anything."""

    exit_code = 2


class ModelError(OrtlabError):
    """The model is invalid, unsupported, refused or out of tolerance."""

    exit_code = 3


class ToolchainError(OrtlabError):
    """A program or package that is needed is missing, or it failed."""

    exit_code = 4


class DeviceError(OrtlabError):
    """A device is absent, not ready, or was lost."""

    exit_code = 5


class DeviceLostError(DeviceError):
    """A device was there and answers no more: cable, system, adb server."""


class DeviceNotReadyError(DeviceError):
    """A person has to do something at the device: unlock, allow, charge, make room."""


class DeviceTimeoutError(DeviceError):
    """A device is still there, but did not finish before the deadline."""


class InstallError(DeviceError):
    """A device refuses the app.

    Args:
        message: As for every error; it gives the platform's own code.
        code: The platform's own code, such as ``INSTALL_FAILED_NO_MATCHING_ABIS``; None where
            the platform gave none.
        next_step: As for every error.
        log_path: As for every error.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        next_step: str | None = None,
        log_path: Path | None = None,
    ) -> None:
        super().__init__(message, next_step=next_step, log_path=log_path)
        self.code = code


class BenchmarkError(OrtlabError):
    """An experiment could not be carried out."""

    exit_code = 6


class GateFailedError(OrtlabError):
    """The lower bound of a slowdown is above the limit."""

    exit_code = 7


class GateInconclusiveError(OrtlabError):
    """The interval does not decide, or the runs may not be compared."""

    exit_code = 8


class StorageError(OrtlabError):
    """The disk is full, read-only, or another process holds the directory."""

    exit_code = 9


class InterruptedRunError(OrtlabError):
    """The user or the system asked us to stop; what was measured is on disk."""

    exit_code = 130
