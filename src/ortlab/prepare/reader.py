"""A second process that reads finished files while this one converts.

Parsing and comparing is Python's own work and would hold its lock. The reader is forked once, after
the tools are loaded and before the first session and the first thread exist; it never calls ORT.
"""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Callable
from typing import Any, BinaryIO, ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")


class Reader:
    """Calls functions of modules in a forked process, one after the other."""

    def __init__(self, prepare_child: Callable[[], None]) -> None:
        """Fork.

        Args:
            prepare_child: Called first in the new process.

        Raises:
            OSError: The system has no room for another process.
        """
        ask_read, ask_write = os.pipe()
        answer_read, answer_write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(ask_write)
            os.close(answer_read)
            _serve(os.fdopen(ask_read, "rb"), os.fdopen(answer_write, "wb"), prepare_child)
        os.close(ask_read)
        os.close(answer_write)
        self._ask = os.fdopen(ask_write, "wb")
        self._answer = os.fdopen(answer_read, "rb")
        self._lock = threading.Lock()
        self._gone = False

    def call(
        self,
        function: Callable[Arguments, Answer],
        *arguments: Arguments.args,
        **options: Arguments.kwargs,
    ) -> Answer:
        """Call a function there; here, if that process is gone.

        Raises:
            Exception: What the function raises.
        """
        with self._lock:
            if not self._gone:
                try:
                    pickle.dump((function, arguments, options), self._ask)
                    self._ask.flush()
                    answer, error = pickle.load(self._answer)  # noqa: S301 - our own process
                except (EOFError, OSError, pickle.PickleError):
                    self._gone = True
        if self._gone:
            return function(*arguments, **options)
        if error is not None:
            raise error
        return answer  # type: ignore[no-any-return]


def _serve(asked: BinaryIO, answers: BinaryIO, prepare_child: Callable[[], None]) -> None:
    """Answer until nobody asks any more; never returns."""
    code = 0
    try:
        prepare_child()
        while True:
            function, arguments, options = pickle.load(asked)  # noqa: S301 - our own process
            answer: tuple[Any, Exception | None]
            try:
                answer = function(*arguments, **options), None
            except Exception as error:  # raised again by whom asked
                answer = None, error
            answers.write(pickle.dumps(answer))
            answers.flush()
    except EOFError:
        pass
    except BaseException:  # never run on in the caller's code
        code = 1
    os._exit(code)
