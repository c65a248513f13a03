"""The Swift benchmark core, built once for its sources, and as a device for tests."""

from __future__ import annotations

import functools
import os
import shutil
from pathlib import Path

from ios import swift
from ortlab.devices.host import KEPT_VARIABLES, HostDevice
from ortlab.process import Command, SystemProcesses

PRODUCT = "bench-cli"


@functools.cache
def core_program() -> Path:
    """Return the program, built where its sources or the compiler changed.

    Raises:
        SwiftFailedError: It does not compile.
    """
    return swift.build(swift.TEMPLATE, product=PRODUCT) / PRODUCT


def core_arguments(*arguments: str | Path) -> tuple[str, ...]:
    """Return the command that runs the core alone, with an environment of its own."""
    env = shutil.which("env") or "/usr/bin/env"
    kept = [f"{name}={os.environ[name]}" for name in KEPT_VARIABLES if name in os.environ]
    return (env, "-i", *kept, *swift.program(core_program(), *arguments))


class CoreDevice(HostDevice):
    """This machine, with the Swift core instead of the Python runner.

    Args:
        variables: More of them for the core's environment, each as ``NAME=VALUE``.
    """

    def __init__(self, *variables: str) -> None:
        super().__init__(SystemProcesses())
        self._variables = variables

    def _command(self, interpreter: str, argument: str, deadline_s: float) -> Command:  # noqa: ARG002
        env, clean, *rest = core_arguments(argument)
        return Command(arguments=(env, clean, *self._variables, *rest), deadline_s=deadline_s)
