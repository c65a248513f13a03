"""Programs run by `SystemProcesses`: what ends them, what they are given, what is kept."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ortlab.errors import ToolchainError
from ortlab.process import Command, Completed, RecordedProcesses, SystemProcesses

HOSTILE = (
    "$(touch x)",
    "`touch x`",
    "two\nlines",
    "it's",
    'say "so"',
    "; touch x",
    "*",
    "",
    " ",
    "-rf",
    "\u202egnp.exe",
    "\udcff",  # a byte that is no UTF-8, as file names carry it
    "é€😀",
)

# Starts a child of its own, writes the ids of both, then neither ends by itself.
FAMILY = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
with open(sys.argv[1] + ".new", "w") as file:
    file.write(f"{os.getpid()} {child.pid}")
os.rename(sys.argv[1] + ".new", sys.argv[1])
if sys.argv[2] == "leave":
    sys.exit(0)
time.sleep(600)
"""


def python(code: str, *arguments: str, deadline_s: float = 60.0, **settings: Any) -> Completed:
    command = Command(
        arguments=(sys.executable, "-c", code, *arguments),
        deadline_s=deadline_s,
        **settings,
    )
    return SystemProcesses().run(command)


def is_alive(pid: int) -> bool:
    """Whether a process still runs; one that is dead and waits to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def assert_gone(pids: list[int]) -> None:
    """A killed process may take a moment to leave the table."""
    give_up = time.monotonic() + 20
    while time.monotonic() < give_up and any(is_alive(pid) for pid in pids):
        time.sleep(0.01)
    left = [pid for pid in pids if is_alive(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []


def family(path: Path) -> list[int]:
    return [int(word) for word in path.read_text().split()]


# ------------------------------------------------------------------------------- what ends it


def test_the_deadline_ends_grandchildren_too(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    completed = python(FAMILY, str(pids), "stay", deadline_s=3)
    assert completed.timed_out
    assert completed.signal_name == "SIGKILL"
    assert completed.exit_code is None
    assert not completed.succeeded
    assert completed.duration_s >= 3
    assert_gone(family(pids))


def test_what_a_program_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    completed = python(FAMILY, str(pids), "leave")
    assert completed.succeeded
    assert_gone(family(pids))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_caller_ends_the_group(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C reaches only us, since the program has a session of its own."""
    pids = tmp_path / "pids"
    code = (
        "import signal, sys\n"
        "from ortlab.process import Command, SystemProcesses\n"
        "signal.signal(signal.SIGTERM, signal.default_int_handler)\n"
        "try:\n"
        "    SystemProcesses().run(Command(arguments=tuple(sys.argv[1:]), deadline_s=600))\n"
        "except KeyboardInterrupt:\n"
        "    sys.exit(130)\n"
    )
    program = [sys.executable, "-c", FAMILY, str(pids), "stay"]
    caller = subprocess.Popen([sys.executable, "-c", code, *program])
    try:
        give_up = time.monotonic() + 60
        while not pids.exists():
            assert time.monotonic() < give_up, "the program never started"
            time.sleep(0.01)
        caller.send_signal(number)
        assert caller.wait(60) == 130
    finally:
        caller.kill()
        caller.wait()
    assert_gone(family(pids))


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGKILL", "SIGTERM"])
def test_a_signal_is_named(name: str) -> None:
    completed = python(f"import os, signal; os.kill(os.getpid(), signal.{name})")
    assert completed.signal_name == name
    assert completed.exit_code is None
    assert not completed.timed_out
    assert not completed.succeeded


def test_an_exit_code_is_kept_apart_from_the_output() -> None:
    completed = python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    assert (completed.exit_code, completed.signal_name) == (3, None)
    assert (completed.stdout, completed.stderr) == ("out\n", "err\n")
    assert not completed.succeeded


# ------------------------------------------------------------------------------------- limits


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux limits from outside")
def test_the_memory_limit_is_felt() -> None:
    code = "try:\n    bytearray(1 << 30)\nexcept MemoryError:\n    print('refused')\n"
    limited = python(code, memory_limit_bytes=512 << 20)
    assert limited.stdout == "refused\n"
    assert python(code).stdout == ""


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux limits from outside")
def test_the_file_size_limit_is_felt(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "try:\n"
        "    with open(sys.argv[1], 'wb') as file:\n"
        "        file.write(bytes(1 << 20))\n"
        "except OSError as error:\n"
        "    print(error.strerror)\n"
    )
    path = tmp_path / "large"
    completed = python(code, str(path), file_size_limit_bytes=4096)
    assert completed.stdout == "File too large\n"
    assert path.stat().st_size == 4096


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux limits from outside")
def test_a_stricter_limit_of_the_caller_stays() -> None:
    """Asking for more than the caller may have is no error."""
    code = (
        "import resource\n"
        "from ortlab.process import Command, SystemProcesses\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
        "show = 'import resource; print(resource.getrlimit(resource.RLIMIT_FSIZE)[1])'\n"
        "import sys\n"
        "command = Command(arguments=(sys.executable, '-c', show), deadline_s=60,\n"
        "                  file_size_limit_bytes=1 << 30)\n"
        "print(SystemProcesses().run(command).stdout, end='')\n"
    )
    assert python(code).stdout == f"{1 << 20}\n"


def test_only_the_tail_of_a_flood_is_kept_in_memory_and_on_disk() -> None:
    """400 MB of output hold neither 400 MB of memory nor of disk."""
    code = (
        "import os, time\n"
        "for _ in range(100):\n"
        "    os.write(1, b'x' * 4_000_000)\n"
        "    time.sleep(0.002)\n"
        "time.sleep(0.2)\n"
        "held = os.fstat(1)\n"
        "os.write(1, b'the end')\n"
        "os.write(2, f'{held.st_size} {held.st_blocks * 512}'.encode())\n"
    )
    completed = python(code)
    assert completed.succeeded
    assert len(completed.stdout) == 1 << 20
    assert completed.stdout.endswith("the end")
    printed, held = (int(word) for word in completed.stderr.split())
    assert printed == 400_000_000
    assert held < 256 << 20


# ------------------------------------------------------------------------------ what it is given


def test_hostile_arguments_arrive_verbatim_and_start_nothing(tmp_path: Path) -> None:
    code = "import os, sys; sys.stdout.buffer.write(b'\\0'.join(map(os.fsencode, sys.argv[1:])))"
    command = Command(
        arguments=(sys.executable, "-c", code, *HOSTILE),
        deadline_s=60,
        working_directory=tmp_path,
    )
    completed = SystemProcesses().run(command)
    expected = b"\0".join(map(os.fsencode, HOSTILE)).decode(errors="replace")
    assert completed.stdout == expected
    assert list(tmp_path.iterdir()) == []


def test_environment_is_added_to_ours_and_input_is_read() -> None:
    code = (
        "import os, sys\nprint(os.environ['EXTRA'], 'PATH' in os.environ, repr(sys.stdin.read()))"
    )
    completed = python(code, environment={"EXTRA": "$HOME"}, input_text="grüß\n")
    assert completed.stdout == "$HOME True 'grüß\\n'\n"


def test_without_input_text_nothing_is_read_from_our_terminal() -> None:
    assert python("import sys; print(repr(sys.stdin.read()))").stdout == "''\n"


def test_bytes_that_are_no_text_are_replaced() -> None:
    code = r"import sys; sys.stdout.buffer.write(b'a\xffb')"
    assert python(code).stdout == "a\ufffdb"


def test_output_of_a_program_that_died_is_kept() -> None:
    code = "import os, sys; print('last words', flush=True); os.abort()"
    completed = python(code)
    assert completed.stdout == "last words\n"
    assert completed.signal_name == "SIGABRT"


# ------------------------------------------------------------------------------- cannot be started


def test_a_directory_that_is_not_there_is_the_cause_named(tmp_path: Path) -> None:
    missing = tmp_path / "gone"
    command = Command(arguments=("true",), deadline_s=5, working_directory=missing)
    with pytest.raises(ToolchainError, match="no such directory") as caught:
        SystemProcesses().run(command)
    assert str(missing) in caught.value.message


def test_a_file_that_is_no_program_is_an_error_of_the_toolchain(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("hello")
    with pytest.raises(ToolchainError, match=r"cannot start .*text: Permission denied"):
        SystemProcesses().run(Command(arguments=(str(path),), deadline_s=5))


@pytest.mark.parametrize("argument", ["a\0b", "\ud800"])
def test_an_argument_that_no_program_can_be_given_is_no_traceback(argument: str) -> None:
    with pytest.raises(ToolchainError, match="cannot start true: it cannot be given"):
        SystemProcesses().run(Command(arguments=("true", argument), deadline_s=5))


def test_no_room_for_its_input_is_an_error_of_storage() -> None:
    code = (
        "import resource\n"
        "from ortlab.errors import StorageError\n"
        "from ortlab.process import Command, SystemProcesses\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "command = Command(arguments=('cat',), deadline_s=5, input_text='x' * 10_000)\n"
        "try:\n"
        "    SystemProcesses().run(command)\n"
        "except StorageError as error:\n"
        "    print(error.message)\n"
    )
    assert python(code).stdout == "cannot write a temporary file: File too large\n"


# ---------------------------------------------------------------------- the twin, the same contract

ANSWER = Completed(
    command=Command(arguments=("recorded",), deadline_s=1),
    exit_code=0,
    signal_name=None,
    timed_out=False,
    stdout="hello\n",
    stderr="",
    duration_s=0.1,
)


@pytest.fixture(params=["system", "recorded"])
def processes(request: pytest.FixtureRequest) -> SystemProcesses | RecordedProcesses:
    if request.param == "system":
        return SystemProcesses()
    return RecordedProcesses([(lambda arguments: arguments[0] == "echo", ANSWER)])


def test_both_answer_with_the_command_that_was_asked(
    processes: SystemProcesses | RecordedProcesses,
) -> None:
    command = Command(arguments=("echo", "hello"), deadline_s=60)
    completed = processes.run(command)
    assert completed.command is command
    assert completed.succeeded
    assert completed.stdout == "hello\n"
    assert processes.run(command).stdout == "hello\n"


def test_both_refuse_a_program_that_is_not_there(
    processes: SystemProcesses | RecordedProcesses,
) -> None:
    with pytest.raises(ToolchainError, match="cannot start ortlab-no-such-program") as caught:
        processes.run(Command(arguments=("ortlab-no-such-program", "x"), deadline_s=5))
    assert caught.value.exit_code == 4
