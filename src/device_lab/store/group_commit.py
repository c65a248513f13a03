"""Many threads' operations in one transaction, so that one wait for the disk serves them all.

No thread of its own: the first that comes leads, takes what waits, carries it out, commits, and
lets the first of those that came meanwhile lead. Each thread returns only after its commit.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from ortlab.errors import OrtlabError, StorageError

_MAX_SHARED = 512

Answer = TypeVar("Answer")


class ConnectionLostError(StorageError):
    """The connection broke; the database may be there again."""


class Counting(Protocol):
    """A transaction, as far as it matters here."""

    write_count: int


@dataclass(slots=True, eq=False)
class _Waiting(Generic[Answer]):
    """An operation of a thread that waits for its commit."""

    operation: Callable[[Any], Answer]
    answers: list[Answer] = field(default_factory=list)
    error: BaseException | None = None
    settled: bool = False
    turn: threading.Event = field(default_factory=threading.Event)


class GroupCommit:
    """Carries out operations that threads ask for.

    An operation may be run again from its start, when another one that shared its transaction
    failed, or when the connection broke; so it must keep nothing of a run outside the database.
    After a connection that broke during the commit itself it may be run on what it has written.

    Args:
        begin: Opens a transaction that is committed at the end of the block.
    """

    def __init__(self, begin: Callable[[], AbstractContextManager[Counting]]) -> None:
        self._begin = begin
        self._queue: list[_Waiting[Any]] = []
        self._queue_lock = threading.Lock()
        self._led = False

    def carry_out(self, operation: Callable[[Any], Answer]) -> Answer:
        """Run an operation and return its answer after the commit, or raise its error."""
        waiting = _Waiting(operation)
        try:
            with self._queue_lock:
                self._queue.append(waiting)
                if not self._led:
                    # In this order, so that whatever interrupts us, somebody can lead.
                    waiting.turn.set()
                    self._led = True
            # A lock of all in place of each one's own signal would let a thread that is served
            # take it again before the others learn that they are served, too.
            waiting.turn.wait()
            if not waiting.settled:
                self._serve()
        except BaseException:
            self._give_up(waiting)
            raise
        if waiting.error is not None:
            raise waiting.error
        return waiting.answers[-1]

    def _serve(self) -> None:
        """Carry out what waits, and let another thread carry out what came meanwhile."""
        batch: list[_Waiting[Any]] = []
        try:
            if not self._together(batch):
                for one in batch:
                    self._alone(one)
        except BaseException:
            # Such as Ctrl-C: the others must not wait for ever, nor take it for a success.
            for one in batch or self._taken():
                if not one.settled:
                    one.error = StorageError("cannot use the lab's store: it was interrupted")
                    one.settled = True
                    one.turn.set()
            raise
        finally:
            for one in batch:
                one.turn.set()
            with self._queue_lock:
                self._hand_over()

    def _hand_over(self) -> None:
        """Let the first that waits serve, while the queue is held."""
        self._led = bool(self._queue)
        if self._queue:
            self._queue[0].turn.set()

    def _give_up(self, waiting: _Waiting[Any]) -> None:
        """Take back an operation that nobody has begun."""
        with self._queue_lock:
            if waiting in self._queue:
                self._queue.remove(waiting)
                if waiting.turn.is_set():
                    self._hand_over()

    def _taken(self) -> list[_Waiting[Any]]:
        """Take what waits out of the queue."""
        with self._queue_lock:
            batch = self._queue[:_MAX_SHARED]
            del self._queue[:_MAX_SHARED]
        return batch

    def _together(self, batch: list[_Waiting[Any]]) -> bool:
        """Fill the batch with what waits and carry it out in one transaction.

        Returns:
            False, and nothing is done, if one of several spoils it, or the connection broke.
        """
        try:
            with self._begin() as run:
                # Only now: while other processes held the lock, more have come.
                batch += self._taken()
                for one in batch:
                    before = run.write_count
                    try:
                        one.answers.append(one.operation(run))
                    except OrtlabError as error:
                        if run.write_count != before:
                            raise
                        one.error = error
        except Exception as error:
            if len(batch) > 1 or (batch and isinstance(error, ConnectionLostError)):
                for one in batch:
                    one.answers.clear()
                    one.error = None
                return False
            # One alone, or the transaction did not even begin: it would for none of them.
            batch += self._taken() if not batch else []
            for one in batch:
                one.error = error
        for one in batch:
            one.settled = True
        return True

    def _alone(self, one: _Waiting[Any]) -> None:
        try:
            with self._begin() as run:
                answer = one.operation(run)
            one.answers.append(answer)
        except Exception as error:
            one.error = error
        one.settled = True
