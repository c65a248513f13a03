"""What the driver says of workers that end in any way, and which models it finds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ortlab.errors import ModelError, OrtlabError, StorageError, ToolchainError, UsageError
from ortlab.prepare.driver import find_models, prepare_models
from ortlab.prepare.job import (
    Mark,
    read_failure,
    read_job,
    read_marks,
    running_steps,
    write_failure,
    write_mark,
)
from ortlab.prepare.options import PrepareOptions, PrepareProgress, PrepareSummary
from ortlab.process import Command, Completed, RecordedProcesses

Worker = Callable[[Path], None]


class ScriptedProcesses:
    """Plays a worker: writes what it would, then ends as told."""

    def __init__(self, worker: Worker | None = None, **ending: Any) -> None:
        self.worker = worker
        self.ending = ending
        self.commands: list[Command] = []

    def run(self, command: Command) -> Completed:
        self.commands.append(command)
        if self.worker is not None:
            self.worker(Path(command.arguments[-1]).parent)
        known = {"exit_code": 0, "signal_name": None, "timed_out": False, "stderr": ""}
        return Completed(command=command, stdout="", duration_s=0.1, **{**known, **self.ending})


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"model")
    return path


def prepare(
    models: list[Path],
    output: Path,
    processes: ScriptedProcesses | RecordedProcesses,
    *,
    stop_on_failure: bool = False,
    told: list[PrepareProgress] | None = None,
) -> PrepareSummary:
    return prepare_models(
        models,
        output,
        PrepareOptions(),
        jobs=1,
        stop_on_failure=stop_on_failure,
        progress=(told if told is not None else []).append,
        processes=processes,
    )


def only_error(summary: PrepareSummary) -> OrtlabError:
    (result,) = summary.results
    assert result.prepared is None
    assert result.directory is None
    assert result.error is not None
    assert summary.error is result.error
    return result.error


def begin_converting(staging: Path) -> None:
    write_mark(staging, Mark(fraction=0.1, step="read"))
    write_mark(staging, Mark(fraction=0.1, step="read", ended=True))
    write_mark(staging, Mark(fraction=0.5, step="make fixed-arm"))


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        ({"exit_code": None, "signal_name": "SIGSEGV"}, ["crashed", "SIGSEGV"]),
        ({"exit_code": None, "signal_name": "SIGKILL", "timed_out": True}, ["600 s"]),
        (
            {"exit_code": None, "signal_name": "SIGABRT", "stderr": "what(): std::bad_alloc"},
            ["memory"],
        ),
        ({"exit_code": 7, "stderr": "first\nlast words\n"}, ["exit code 7", "last words"]),
        ({"exit_code": 0}, ["exit code 0"]),
    ],
    ids=["segfault", "hang", "out of memory", "exit code", "no result"],
)
def test_a_dead_worker_is_an_error_that_names_file_and_step(
    ending: dict[str, object], words: list[str], model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    error = only_error(prepare([model], out, ScriptedProcesses(begin_converting, **ending)))
    assert isinstance(error, ModelError)
    for word in [str(model), "'make fixed-arm'", *words]:
        assert word in error.message
    assert error.next_step
    assert list(out.iterdir()) == []


def test_a_worker_that_never_began_is_a_toolchain_error(model: Path, tmp_path: Path) -> None:
    processes = ScriptedProcesses(exit_code=1, stderr="No module named ortlab")
    error = only_error(prepare([model], tmp_path / "out", processes))
    assert isinstance(error, ToolchainError)
    assert "No module named ortlab" in error.message


def test_what_the_worker_says_is_kept_with_its_family(model: Path, tmp_path: Path) -> None:
    def fail(staging: Path) -> None:
        write_failure(staging, StorageError("cannot write: full", next_step="free space"))

    error = only_error(prepare([model], tmp_path / "out", ScriptedProcesses(fail, exit_code=1)))
    assert isinstance(error, StorageError)
    assert error.message == "cannot write: full"
    assert error.next_step == "free space"


def test_a_missing_interpreter_is_a_result_not_a_crash(model: Path, tmp_path: Path) -> None:
    error = only_error(prepare([model], tmp_path / "out", RecordedProcesses(recordings=[])))
    assert isinstance(error, ToolchainError)
    assert list((tmp_path / "out").iterdir()) == []


def test_the_worker_gets_the_job_and_its_own_directory(model: Path, tmp_path: Path) -> None:
    seen = []
    processes = ScriptedProcesses(lambda staging: seen.append(read_job(staging / "job.json")))
    prepare([model], tmp_path / "out", processes)
    (job,), (command,) = seen, processes.commands
    assert (job.model, job.name) == (model, "net")
    assert job.destination == tmp_path / "out" / "net"
    assert command.working_directory == job.directory
    assert command.environment["ORT_DISABLE_TELEMETRY"] == "1"
    assert command.deadline_s == PrepareOptions().deadline_s


def test_one_bad_model_does_not_stop_the_others(tmp_path: Path) -> None:
    models = [tmp_path / f"{name}.onnx" for name in "abc"]
    for path in (models[0], models[2]):
        path.write_bytes(b"model")
    processes = ScriptedProcesses(begin_converting, exit_code=1)
    summary = prepare(models, tmp_path / "out", processes)
    assert [type(result.error) for result in summary.results] == [
        ModelError,
        UsageError,
        ModelError,
    ]
    assert len(processes.commands) == 2


def test_the_first_failure_stops_the_rest_when_asked(tmp_path: Path) -> None:
    models = [tmp_path / f"{name}.onnx" for name in "abc"]
    for path in models:
        path.write_bytes(b"model")
    processes = ScriptedProcesses(begin_converting, exit_code=1)
    summary = prepare(models, tmp_path / "out", processes, stop_on_failure=True)
    assert len(processes.commands) == 1
    assert all(result.error for result in summary.results)
    assert "not prepared" in str(summary.results[2].error)


def test_progress_ends_with_failed(model: Path, tmp_path: Path) -> None:
    told: list[PrepareProgress] = []
    processes = ScriptedProcesses(begin_converting, exit_code=1)
    prepare([model], tmp_path / "out", processes, told=told)
    assert told[-1].step == "failed"
    assert told[-1].model == "net"


@pytest.mark.parametrize("kind", ["missing", "pipe", "foreign"])
def test_what_cannot_be_prepared_starts_no_worker(kind: str, tmp_path: Path) -> None:
    import os

    path, out = tmp_path / "net.onnx", tmp_path / "out"
    if kind == "pipe":
        os.mkfifo(path)
    if kind == "foreign":
        path.write_bytes(b"model")
        (out / "net").mkdir(parents=True)
        (out / "net" / "thesis.txt").write_text("work")
    processes = ScriptedProcesses()
    assert isinstance(only_error(prepare([path], out, processes)), UsageError)
    assert processes.commands == []


def test_directories_are_searched_as_the_converter_does(tmp_path: Path) -> None:
    wanted = ["a.onnx", "deep/er/b.ONNX"]
    unwanted = ["a.optimized.onnx", "a.ort", ".hidden/c.onnx", "out/d.onnx", "prepared/v/e.onnx"]
    for name in [*wanted, *unwanted, "prepared/manifest.json"]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = find_models([tmp_path, tmp_path / "a.onnx"], tmp_path / "out")
    assert found == tuple(tmp_path / name for name in wanted)


def test_nothing_to_prepare_is_a_usage_error(tmp_path: Path) -> None:
    for nothing in ([], [tmp_path]):
        with pytest.raises(UsageError):
            find_models(nothing, tmp_path / "out")
    with pytest.raises(UsageError):
        prepare_models([tmp_path / "a.onnx"], tmp_path, PrepareOptions(), jobs=0)


def test_marks_survive_a_torn_line(tmp_path: Path) -> None:
    begin_converting(tmp_path)
    with (tmp_path / "progress").open("a") as file:
        file.write('[0.7, "half')
    marks = read_marks(tmp_path)
    assert len(marks) == 3
    assert running_steps(marks) == "'make fixed-arm'"
    assert running_steps(()) == "'start'"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"family": "int"}', '{"family": "ModelError"}'])
def test_a_failure_that_cannot_be_read_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "failure.json").write_text(text)
    assert read_failure(tmp_path) is None
