"""Calls that may hang, away from the event loop and never in the way of the process's end."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")


async def on_thread(function: Callable[[], Answer], *, deadline_s: float, name: str) -> Answer:
    """Call a function on a thread of its own and return its answer.

    The thread is a daemon's: a pool's would be waited for at exit, however long it hangs.

    Raises:
        TimeoutError: It took longer than the deadline; the thread is left to itself.
        Exception: Whatever the function raises.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Answer] = loop.create_future()

    def settle(answer: Answer | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(answer)  # type: ignore[arg-type]

    def work() -> None:
        answer: Answer | None = None
        error: BaseException | None = None
        try:
            answer = function()
        except BaseException as raised:
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, answer, error)

    threading.Thread(target=work, name=name, daemon=True).start()
    return await asyncio.wait_for(future, deadline_s)
