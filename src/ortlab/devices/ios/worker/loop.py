"""Questions from standard input, answers to standard output, one at a time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from ortlab.devices.ios.messages import (
    Action,
    Answer,
    BadMessageError,
    Event,
    EventKind,
    Problem,
    Question,
    question_of,
    to_line,
)
from ortlab.devices.ios.worker.apps import Apps
from ortlab.devices.ios.worker.documents import Documents
from ortlab.devices.ios.worker.phone import END_S, Phone, Tell, attached
from ortlab.devices.ios.worker.problems import CannotLaunchError, LocalFileError
from ortlab.devices.ios.worker.reports import Reports
from ortlab.devices.ios.worker.running import Running
from ortlab.devices.ios.worker.state import State

_STALE_S: Final = 20.0


async def carry_out(phone: Phone, question: Question, tell: Tell) -> Any:
    """Return the answer to a question; `tell` sends what happens before it is there."""
    if time.monotonic() - phone.used_at_s > _STALE_S:
        await phone.reset()  # a phone closes what is idle, and nobody is told
    phone.doing = str(question.action)
    work = _actions(phone, tell)[question.action](**question.arguments)
    answer = await asyncio.wait_for(work, question.deadline_s)
    phone.used_at_s = time.monotonic()
    return answer


def _actions(phone: Phone, tell: Tell) -> dict[Action, Callable[..., Awaitable[Any]]]:
    state, apps, documents = State(phone, tell), Apps(phone, tell), Documents(phone)
    return {
        Action.ATTACHED: attached,
        Action.CONNECT: state.connect,
        Action.STATUS: state.status,
        Action.MOUNT: state.mount,
        Action.APP: apps.app,
        Action.INSTALL: apps.install,
        Action.UNINSTALL: apps.uninstall,
        Action.SIZES: documents.sizes,
        Action.HASHES: documents.hashes,
        Action.SEND: documents.send,
        Action.FETCH: documents.fetch,
        Action.REMOVE: documents.remove,
        Action.RUN: Running(phone, tell).run,
        Action.REPORTS: Reports(phone).reports,
    }


async def serve(udid: str, questions: asyncio.Queue[Question | int | None], send: Any) -> None:
    """Answer questions, one at a time, until there are no more."""
    phone = Phone(udid)
    current: tuple[int, asyncio.Task[None]] | None = None
    while (said := await questions.get()) is not None:
        if isinstance(said, int):
            if current is not None and current[0] == said:
                current[1].cancel()
            continue
        if current is not None:
            await asyncio.wait({current[1]})
        current = (said.number, asyncio.create_task(_answer(phone, said, send)))
    if current is not None:
        current[1].cancel()
        await asyncio.wait({current[1]}, timeout=END_S)
    await phone.reset()


async def _answer(phone: Phone, question: Question, send: Callable[[bytes], None]) -> None:
    def tell(kind: EventKind, text: str) -> None:
        send(to_line(Event(number=question.number, kind=kind, text=text)))

    try:
        value = await carry_out(phone, question, tell)
        answer = Answer(number=question.number, value=value)
    except (Exception, asyncio.CancelledError) as error:
        problem = await _problem(phone, error)
        answer = Answer(number=question.number, problem=problem)
    send(to_line(answer))


async def _problem(phone: Phone, error: BaseException) -> Problem:
    attached_now = None
    doing = phone.doing
    if not isinstance(error, CannotLaunchError | LocalFileError):
        attached_now = await phone.is_attached()
        await phone.reset()
    names = tuple(kind.__name__ for kind in type(error).__mro__ if kind is not object)
    return Problem(names=names, words=str(error), doing=doing, attached=attached_now)


def main(udid: str) -> int:
    """Answer the questions of standard input; return an exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever asks decides when to end
    output = os.dup(1)
    os.dup2(2, 1)  # what a library prints must not be among the answers

    def send(line: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(output, line) if len(line) < 4096 else _write_all(output, line)

    async def run() -> None:
        loop = asyncio.get_running_loop()
        questions: asyncio.Queue[Question | int | None] = asyncio.Queue()

        def read() -> None:
            for line in sys.stdin.buffer:
                with contextlib.suppress(BadMessageError):
                    loop.call_soon_threadsafe(questions.put_nowait, question_of(line))
            loop.call_soon_threadsafe(questions.put_nowait, None)
            time.sleep(3 * END_S)
            os._exit(1)  # something does not let go; nobody listens any more

        threading.Thread(target=read, daemon=True).start()
        await serve(udid, questions, send)

    asyncio.run(run())
    return 0


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
