"""Any browser that a person opens: it shows the page once, and blocks run in it one after another.

The page is served on the loopback address, which a phone on a cable reaches through ``adb
reverse``. All blocks share the page, and are marked so.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final

from ortlab.devices.answers import BadAnswerError, last_stage, read_result
from ortlab.devices.web.device import ARCHITECTURE, GRACE_S
from ortlab.devices.web.ended import late
from ortlab.devices.web.hello import Hello, browser_name, read_hello
from ortlab.devices.web.mail import BatchMail, BlockMail, SignalKind, lay_out
from ortlab.devices.web.server import PageServer
from ortlab.domain import Arm, DeviceInfo, DeviceKind
from ortlab.errors import DeviceError, DeviceNotReadyError
from ortlab.wire import BlockRequest, BlockResult, Conditions, Death

DEVICE_ID: Final = "web:url-shown"

_GIB: Final = 1 << 30
_POLL_S: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownOptions:
    """How a person's browser is waited for.

    Attributes:
        port: Of the loopback address; a free one if 0.
        is_isolated: Whether the page is served cross-origin isolated.
        patience_s: Longest wait for the page to be opened, and for it to take a block.
        remind_s: After which the person is asked once more.
    """

    port: int = 0
    is_isolated: bool = True
    patience_s: float = 300.0
    remind_s: float = 10.0


class ShownWebDevice:
    """Runs blocks in a browser that a person opened; see :class:`ortlab.domain.Device`.

    Args:
        page: Directory of the built bench page.
        say: Told the address, and what the person is to do.
        options: How long to wait, and where to listen.

    Raises:
        DeviceError: The port is taken.
    """

    def __init__(
        self, page: Path, *, say: Callable[[str], None], options: ShownOptions | None = None
    ) -> None:
        self._say = say
        self._options = options or ShownOptions()
        self._server = PageServer(
            page, port=self._options.port, is_isolated=self._options.is_isolated
        )
        self._batch = BatchMail()
        self._server.add(self._batch)

    @property
    def address(self) -> str:
        """What the person opens."""
        return self._server.url(f"/bench.html?batch={self._batch.path}")

    @property
    def port(self) -> int:
        """Where the page is served on the loopback address."""
        return self._server.port

    @cached_property
    def info(self) -> DeviceInfo:
        """The browser as its page tells; nothing else is known of the machine under it.

        Raises:
            DeviceNotReadyError: Nobody opened the page.
        """
        hello = self._hello
        cores = f"{hello.core_count} cores" if hello.core_count else "cores unknown"
        return DeviceInfo(
            device_id=DEVICE_ID,
            kind=DeviceKind.WEB,
            name=browser_name(hello.browser.user_agent),
            os_version=hello.platform or "unknown",
            architecture=ARCHITECTURE,
            cpu=f"{cores}, as the browser tells",
            memory_bytes=int((hello.memory_gb or 0) * _GIB),
            ort_version=hello.runtime.ort_version,
            available_providers=hello.runtime.available_providers,
            absent_providers=hello.absent_providers,
        )

    def runtime_of(self, arm: Arm) -> tuple[str, tuple[str, ...]]:
        """Return ORT version and available providers of the page.

        Raises:
            DeviceError: The arm wants a runtime of its own, or nobody opened the page.
        """
        if arm.runtime is not None:
            message = f"cannot run arm {arm.arm_id!r} in a browser: the page has one runtime"
            raise DeviceError(message, next_step="build an app with the other release")
        return self.info.ort_version, self.info.available_providers

    def conditions(self) -> Conditions:
        """Return nothing: a page tells of its state with each block."""
        return Conditions()

    def run_block(self, request: BlockRequest, arm: Arm) -> BlockResult | Death:
        """Offer one block to the page and wait for its result; see :class:`ortlab.domain.Device`.

        Raises:
            DeviceNotReadyError: The page is not open any more, and nobody opened it.
            StorageError: The output directory cannot be written.
        """
        self.runtime_of(arm)
        mail = lay_out(request)
        self._server.add(mail)
        self._batch.offer(mail)
        try:
            if not self._answered(mail, request.deadline_s):
                return late(mail.directory, "", request.deadline_s)
            result = read_result(mail.directory, request.block_id)
        except BadAnswerError as error:
            stage = last_stage(mail.directory)
            return Death(kind=error.kind, message=error.message, last_stage=stage)
        finally:
            self._batch.offer(None)
            self._server.remove(mail)
        self._check_same(result)
        if result.runtime is None:
            return result
        return replace(result, runtime=replace(result.runtime, shared_process=True))

    def close(self) -> None:
        """Tell the page that there is no more work, and stop listening; safe to call twice."""
        if not self._batch.ended:
            self._batch.ended = True
            time.sleep(2 * _POLL_S)  # the page asks once a second
        self._server.close()

    # -- inside ---------------------------------------------------------------------------------

    @cached_property
    def _hello(self) -> Hello:
        port = self.port
        self._say(f"open {self.address} in the browser to measure, and leave it in front")
        self._say(f"for an Android phone on a cable, first: adb reverse tcp:{port} tcp:{port}")
        try:
            return read_hello(self._batch.hellos.get(timeout=self._options.patience_s))
        except queue.Empty:
            raise self._nobody() from None

    def _answered(self, mail: BlockMail, deadline_s: float) -> bool:
        """Wait until the page has taken the block and answered; say whether it did in time.

        Raises:
            DeviceNotReadyError: No page took it.
        """
        offered = time.monotonic()
        taken_at: float | None = None
        is_reminded = False
        while True:
            try:
                signal = mail.signals.get(timeout=_POLL_S)
            except queue.Empty:
                signal = None
            now = time.monotonic()
            if signal is not None and signal.kind is SignalKind.RESULT:
                return True
            if signal is not None and signal.kind is SignalKind.TAKEN:
                taken_at = now
            if taken_at is not None and now - taken_at > deadline_s + GRACE_S:
                return False
            waited_s = now - offered if taken_at is None else 0.0
            if waited_s > self._options.patience_s:
                raise self._nobody()
            if waited_s > self._options.remind_s and not is_reminded:
                self._say(f"open {self.address} again, and leave it in front")
                is_reminded = True

    def _check_same(self, result: BlockResult) -> None:
        """Hold a block to the browser that the run began with.

        Raises:
            DeviceError: Another one took it.
        """
        if result.browser is None or result.browser.user_agent == self._hello.browser.user_agent:
            return
        other = browser_name(result.browser.user_agent)
        message = f"cannot go on: another browser ({other}) took the block"
        raise DeviceError(message, next_step=f"open the page in {self.info.name} alone")

    def _nobody(self) -> DeviceNotReadyError:
        message = "cannot run blocks in a browser: nobody opened the page"
        return DeviceNotReadyError(message, next_step="run it again and open the address it shows")
