"""The values of `process.py` and the recorded twin; programs are started in tests/real."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortlab.errors import ToolchainError
from ortlab.process import Command, Completed, RecordedProcesses


def completed(exit_code: int | None = 0, *, timed_out: bool = False, stdout: str = "") -> Completed:
    return Completed(
        command=Command(arguments=("recorded",), deadline_s=1),
        exit_code=exit_code,
        signal_name=None if exit_code is not None else "SIGKILL",
        timed_out=timed_out,
        stdout=stdout,
        stderr="",
        duration_s=0.1,
    )


@given(st.lists(st.text(st.characters(exclude_characters="\0")), min_size=1))
def test_the_shown_line_is_what_a_shell_would_take_apart_again(arguments: list[str]) -> None:
    line = Command(arguments=tuple(arguments), deadline_s=1).line()
    assert shlex.split(line) == arguments


@pytest.mark.parametrize(
    ("ending", "succeeded"),
    [
        (completed(0), True),
        (completed(1), False),
        (completed(None), False),
        (completed(0, timed_out=True), False),
    ],
)
def test_only_exit_code_0_in_time_is_success(ending: Completed, *, succeeded: bool) -> None:
    assert ending.succeeded is succeeded


def test_the_first_recording_that_accepts_answers_every_time() -> None:
    processes = RecordedProcesses(
        [
            (lambda arguments: arguments == ("adb", "devices"), completed(stdout="one")),
            (lambda arguments: arguments[0] == "adb", completed(1, stdout="two")),
        ]
    )
    asked = [("adb", "devices"), ("adb", "shell"), ("adb", "devices")]
    answers = [
        processes.run(Command(arguments=arguments, deadline_s=1)).stdout for arguments in asked
    ]
    assert answers == ["one", "two", "one"]
    assert [command.arguments for command in processes.commands] == asked


def test_what_was_not_recorded_does_not_exist_but_is_remembered() -> None:
    processes = RecordedProcesses([])
    with pytest.raises(ToolchainError, match="nothing was recorded for gradle 'a b'"):
        processes.run(Command(arguments=("gradle", "a b"), deadline_s=1))
    assert len(processes.commands) == 1


def test_a_recording_prints_into_the_file_that_a_program_would(tmp_path: Path) -> None:
    processes = RecordedProcesses([(lambda _: True, completed(1, stdout="BUILD FAILED\n"))])
    path = tmp_path / "all.txt"
    processes.run(Command(arguments=("gradle",), deadline_s=1, output_path=path))
    assert path.read_text() == "BUILD FAILED\n"
