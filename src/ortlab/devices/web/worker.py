"""Drives a browser through Playwright, in a process of its own; the only importer of Playwright.

Lines of JSON come in on standard input: ``open`` starts a browser with a fresh profile and loads a
page, ``close`` ends it. Lines go out: one answer a question, and events in between. The browser is
this process's child's child: it ends with this process, which ends when nobody asks any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, TextIO

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, CDPSession, ConsoleMessage, Playwright

_CLOSE_S: Final = 3.0
_LONGEST_TEXT: Final = 2000
_LONGEST_LINE_BYTES: Final = 1 << 20


class _Browser:
    """One browser with one page.

    Args:
        playwright: Starts it.
        tell: Told what happens: a kind and words.
    """

    def __init__(self, playwright: Playwright, tell: Callable[[str, str], None]) -> None:
        self._playwright = playwright
        self._tell = tell
        self._context: BrowserContext | None = None
        self._number = 0

    async def open(self, question: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        number = self._number
        context = await self._playwright.chromium.launch_persistent_context(
            question["profile"],
            executable_path=question["executable"],
            headless=True,
            args=question["arguments"],
            chromium_sandbox=question["sandbox"],
            timeout=1000 * question["deadline_s"],
            handle_sigint=False,
            handle_sigterm=False,
            handle_sighup=False,
        )
        self._context = context

        def told(kind: str, words: str = "") -> None:
            if number == self._number:  # not of a browser that was ended on purpose
                self._tell(kind, words[:_LONGEST_TEXT])

        def printed(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                told("console", message.text)

        context.on("close", lambda _: told("browser ended"))
        page = context.pages[0] if context.pages else await context.new_page()
        page.on("crash", lambda _: told("crashed"))
        page.on("close", lambda _: told("page closed"))
        page.on("console", printed)
        page.on("pageerror", lambda error: told("page error", str(error)))
        browser = context.browser
        if browser is not None:
            await _watch(await browser.new_browser_cdp_session(), told)
        await page.goto(question["url"], timeout=1000 * question["deadline_s"], wait_until="commit")
        return {"version": browser.version if browser is not None else ""}

    async def close(self, _: dict[str, Any]) -> None:
        self._number += 1
        context, self._context = self._context, None
        if context is not None:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(context.close(), _CLOSE_S)


async def _watch(session: CDPSession, told: Callable[[str, str], None]) -> None:
    """Have the browser tell why a page's process ended; Playwright only says that it did."""

    def crashed(event: dict[str, Any]) -> None:
        told("crash reason", f"{event.get('status')} {event.get('errorCode')}")

    session.on("Target.targetCrashed", crashed)
    await session.send("Target.setDiscoverTargets", {"discover": True})


async def _serve(answers: TextIO) -> None:
    from playwright.async_api import async_playwright

    loop = asyncio.get_running_loop()
    questions = asyncio.StreamReader(limit=_LONGEST_LINE_BYTES)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(questions), sys.stdin)

    def say(message: dict[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    async with async_playwright() as playwright:
        browser = _Browser(playwright, lambda kind, words: say({"event": kind, "words": words}))
        actions: dict[str, Callable[[dict[str, Any]], Awaitable[Any]]] = {
            "open": browser.open,
            "close": browser.close,
        }
        while line := await questions.readline():
            question = json.loads(line)
            answer: dict[str, Any] = {"number": question["number"]}
            try:
                answer["value"] = await actions[question["action"]](question)
            except Exception as error:  # noqa: BLE001, RUF100
                answer["problem"] = str(error)[:_LONGEST_TEXT] or type(error).__name__
            say(answer)
        await browser.close({})


def main() -> int:
    """Answer until standard input ends."""
    # Libraries may print; what is said to who asks has a descriptor of its own.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        asyncio.run(_serve(answers))
    return 0


if __name__ == "__main__":
    sys.exit(main())
