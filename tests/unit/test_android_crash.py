"""From a phone's log to a sentence: why an app left no answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortlab.devices.android.crash import (
    Cause,
    cause_of_death,
    read_exit_infos,
    relevant_log,
    tombstone,
)
from ortlab.devices.android.instrumentation import InstrumentationReport
from ortlab.wire import DeathKind

APP = "com.example.reader.bench"
CRASHED = InstrumentationReport(results={"shortMsg": "Process crashed."}, code=0)


def log(*lines: str) -> str:
    """Return lines of the form ``PID TAG: text`` as `logcat -v threadtime` prints them."""
    made = [f"01-31 10:20:30.123 {'1000':>5} 1000 I am_proc_start: [0,4242,10234,{APP},added,x]"]
    for line in lines:
        pid, _, rest = line.partition(" ")
        made.append(f"01-31 10:20:31.456 {pid:>5} {pid:>5} E {rest}")
    return "\n".join(made)


NATIVE = log(
    "4242 libc    : Fatal signal 11 (SIGSEGV), code 1 (SEGV_MAPERR), fault addr 0x0 in tid 4250",
    "4300 DEBUG   : *** *** *** *** *** *** *** *** *** *** *** *** *** *** *** ***",
    "4300 DEBUG   : Build fingerprint: 'maker/phone:14/x/1:user/release-keys'",
    f"4300 DEBUG   : pid: 4242, tid: 4250, name: bench  >>> {APP} <<<",
    "4300 DEBUG   : signal 11 (SIGSEGV), code 1 (SEGV_MAPERR), fault addr 0x0000000000000000",
    "4300 DEBUG   : backtrace:",
    "4300 DEBUG   :       #00 pc 00000000000a1b2c  /data/app/lib/arm64/libonnxruntime.so",
)
JAVA = log(
    "4242 AndroidRuntime: FATAL EXCEPTION: bench",
    f"4242 AndroidRuntime: Process: {APP}, PID: 4242",
    "4242 AndroidRuntime: java.lang.IllegalStateException: no such tensor",
    "4242 AndroidRuntime: \tat dev.ortlab.bench.Block.run(Block.kt:12)",
)
ABORT = log(
    "4242 libc    : Fatal signal 6 (SIGABRT), code -1 (SI_QUEUE) in tid 4242 (bench)",
    "4300 DEBUG   : *** *** ***",
    f"4300 DEBUG   : pid: 4242, tid: 4242, name: bench  >>> {APP} <<<",
    "4300 DEBUG   : Abort message: 'terminating due to uncaught exception of type std::bad_alloc'",
)
EXIT_INFO = """ACTIVITY MANAGER PROCESS EXIT INFO (dumpsys activity exit-info)
  package: com.example.reader.bench
    Historical Process Exit for uid=10234
        ApplicationExitInfo #0:
          timestamp=2026-01-31 10:20:31.456 pid=4242 realUid=10234 packageUid=10234 user=0
          process=com.example.reader.bench reason={reason} ({word}) subreason=0 status={status}
          importance=125 pss=0.00 rss=0.00 description={text} state=empty trace=null
        ApplicationExitInfo #1:
          timestamp=2026-01-30 08:00:00.000 pid=999 realUid=10234 packageUid=10234 user=0
          process=com.example.reader.bench reason=10 (USER REQUESTED) subreason=0 status=0
          importance=125 pss=0.00 rss=0.00 description=stop state=empty trace=null
"""


def judge(text: str, *, exits: str = "", report: InstrumentationReport = CRASHED) -> Cause:
    return cause_of_death(report, log=text, exits=read_exit_infos(exits), package=APP)


def exit_info(reason: int, status: int = 0, text: str = "null") -> str:
    return EXIT_INFO.format(reason=reason, word="WORD", status=status, text=text)


def test_a_native_signal() -> None:
    cause = judge(NATIVE)
    assert (cause.kind, cause.signal_name) == (DeathKind.SIGNAL, "SIGSEGV")
    assert "libonnxruntime.so" in tombstone(NATIVE, APP)
    assert tombstone(NATIVE, "com.other") == ""


def test_a_java_exception() -> None:
    cause = judge(JAVA)
    assert cause.kind is DeathKind.EXIT
    assert cause.message.endswith("java.lang.IllegalStateException: no such tensor")
    said = InstrumentationReport(
        results={"shortMsg": "a.B", "longMsg": "a.BException: words"}, code=0
    )
    assert "a.BException: words" in judge("", report=said).message


def test_memory_that_ran_out() -> None:
    assert judge(ABORT).kind is DeathKind.OUT_OF_MEMORY
    thrown = JAVA.replace("IllegalStateException: no such", "OutOfMemoryError: 9 bytes for")
    assert judge(thrown).kind is DeathKind.OUT_OF_MEMORY
    killed = log(
        f"500 lowmemorykiller: Kill '{APP}' (4242), uid 10234, oom_score_adj 0 to free 9kB"
    )
    assert judge(killed).kind is DeathKind.OUT_OF_MEMORY
    assert judge("", exits=exit_info(3)).kind is DeathKind.OUT_OF_MEMORY
    assert judge("", exits=exit_info(2, 9)).kind is DeathKind.OUT_OF_MEMORY


def test_what_the_system_says() -> None:
    assert "did not answer" in judge("", exits=exit_info(6)).message
    assert "did not answer" in judge(log(f"900 am_anr  : [0,4242,{APP},1,wait]")).message
    native = judge("", exits=exit_info(5, 7))
    assert (native.kind, native.signal_name) == (DeathKind.SIGNAL, "SIGBUS")
    own = judge("", exits=exit_info(1, 3))
    assert (own.kind, own.exit_code) == (DeathKind.EXIT, 3)
    assert "a person or another program" in judge("", exits=exit_info(10)).message
    killed = log(f"900 am_kill : [0,4242,{APP},0,crash]")
    assert "the system ended the app: crash" in judge(killed).message
    hot = log("900 ThermalManagerService: Thermal shutdown: skin at 65.0")
    assert "too hot" in judge(hot).message


def test_another_apps_crash_is_not_ours() -> None:
    other = log(
        "7777 AndroidRuntime: FATAL EXCEPTION: main",
        "7777 AndroidRuntime: java.lang.OutOfMemoryError: theirs",
        "7777 libc    : Fatal signal 11 (SIGSEGV), code 1",
        "500 lowmemorykiller: Kill 'com.other' (7777), uid 1",
    )
    cause = judge(other)
    assert cause.kind is DeathKind.EXIT
    assert cause.signal_name is None
    assert "7777" not in relevant_log(other, APP).replace("(7777)", "")


def test_no_reason_at_all_is_told_as_such() -> None:
    nothing = judge("", report=InstrumentationReport())
    assert nothing.kind is DeathKind.EXIT
    assert "no reason" in nothing.message


def test_exit_infos() -> None:
    infos = read_exit_infos(exit_info(5, 11, "crash"))
    assert [(info.pid, info.reason, info.status) for info in infos] == [(4242, 5, 11), (999, 10, 0)]
    assert infos[0].timestamp == "2026-01-31 10:20:31"
    assert infos[0].description == "crash"
    assert read_exit_infos("") == ()


@pytest.mark.parametrize("name", ["a.b", "com.example.x(y", "com.[x"])
def test_a_name_is_never_a_pattern(name: str) -> None:
    cause_of_death(CRASHED, log=NATIVE, exits=(), package=name)


@given(
    st.sampled_from((NATIVE, JAVA, ABORT, exit_info(5, 11))),
    st.lists(st.tuples(st.integers(0, 600), st.text(max_size=6)), max_size=6),
)
def test_damaged_logs_are_no_error(ground: str, changes: list[tuple[int, str]]) -> None:
    for place, text in changes:
        ground = ground[:place] + text + ground[place + len(text) :]
    cause = judge(ground, exits=ground)
    assert cause.message
    assert len(cause.message) < 400
