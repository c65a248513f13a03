"""The lab's page in a real browser: hostile names, light and dark, a phone's width, no script.

Whatever the page asks of another address, says on the console or shows as a dialog fails the test.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from conftest import find_chromium
from device_lab.serve import PageSettings, PageToken, page_token
from device_lab.serve.server import serve
from device_lab.store import LabStore
from lab.page_samples import HOSTILE, NOW, fill, fill_hostile

pytestmark = [pytest.mark.real, pytest.mark.requires("chromium")]

PICTURES = os.environ.get("ORTLAB_TEST_PICTURES")
PAGES = ("/", "/history?model=reader&phone=a-pixel", "/phone?id=e-old", "/phone?id=a-pixel")


@dataclass
class Lab:
    """A page that answers."""

    base: str
    token: PageToken
    store: LabStore
    cookie_name: str


@dataclass
class Seen:
    """A page and what it did that it should not."""

    page: Any
    base: str
    console: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def assert_quiet(self) -> None:
        assert self.console == []
        assert self.dialogs == []
        assert self.requests == []
        assert self.page.evaluate("window.__pwned") is None
        assert self.page.evaluate("document.scripts.length") == 0


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    arguments = ["--disable-gpu", "--disable-dev-shm-usage"]
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=find_chromium(), args=arguments)
        yield started
        started.close()


@contextmanager
def answering(directory: Path, make: Any) -> Iterator[Lab]:
    store = LabStore(f"sqlite:///{directory / 'lab.db'}")
    make(store)
    token = page_token(directory)
    ready = threading.Event()
    found: list[str] = []
    stop = threading.Event()

    def told(address: str) -> None:
        found.append(address)
        ready.set()

    def run() -> None:
        settings = PageSettings(port=0)
        serve(store, token, settings, clock=lambda: NOW, ready=told, stop=stop)

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(30)
    base = found[0]
    yield Lab(base, token, store, f"ortlab_lab_{base.rpartition(':')[2]}")
    stop.set()
    thread.join(30)
    assert not thread.is_alive()
    store.close()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with answering(tmp_path_factory.mktemp("lab"), fill) as found:
        yield found


@pytest.fixture(scope="module")
def hostile_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with answering(tmp_path_factory.mktemp("hostile"), fill_hostile) as found:
        yield found


@contextmanager
def opened(browser: Any, lab: Lab, *, width: int = 1200, **options: Any) -> Iterator[Seen]:
    context = browser.new_context(viewport={"width": width, "height": 900}, **options)
    page = context.new_page()
    seen = Seen(page=page, base=lab.base)
    page.on("console", lambda message: seen.console.append(message.text))
    page.on("pageerror", lambda error: seen.console.append(str(error)))

    def dismiss(dialog: Any) -> None:
        seen.dialogs.append(dialog.message)
        dialog.dismiss()

    def answer(route: Any) -> None:
        if route.request.url.startswith(f"{lab.base}/"):
            route.continue_()
        else:
            seen.requests.append(route.request.url)
            route.abort()

    page.on("dialog", dismiss)
    context.route("**/*", answer)
    page.goto(lab.token.address(lab.base))
    yield seen
    context.close()


def pictured(page: Any, name: str) -> None:
    if PICTURES:
        page.screenshot(path=f"{PICTURES}/{name}.png", full_page=True)


def test_the_first_visit_leaves_no_token_in_the_address(browser: Any, lab: Lab) -> None:
    with opened(browser, lab) as seen:
        assert seen.page.url == f"{lab.base}/"
        (cookie,) = seen.page.context.cookies()
        assert cookie["name"] == lab.cookie_name
        assert cookie["httpOnly"]
        assert cookie["sameSite"] == "Strict"
        assert cookie["value"] not in lab.token.address("")
        seen.page.reload()
        assert seen.page.get_by_role("heading", name="Queue").is_visible()
        seen.page.go_back()
        assert "token" not in seen.page.url
        seen.assert_quiet()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_every_page_fits_in_light_and_dark(browser: Any, lab: Lab, scheme: str, width: int) -> None:
    backgrounds = {"light": "rgb(245, 246, 248)", "dark": "rgb(15, 17, 21)"}
    with opened(browser, lab, width=width, color_scheme=scheme) as seen:
        job_id = lab.store.job("release 4.2").job_id
        for index, path in enumerate((*PAGES, f"/job?id={job_id}")):
            seen.page.goto(lab.base + path)
            assert seen.page.locator("h1").is_visible()
            assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
            style = "getComputedStyle(document.body).backgroundColor"
            assert seen.page.evaluate(style) == backgrounds[scheme]
            pictured(seen.page, f"{index}-{scheme}-{width}")
            seen.assert_quiet()


def test_a_history_shows_its_nights_over_their_band(browser: Any, lab: Lab) -> None:
    with opened(browser, lab) as seen:
        seen.page.get_by_role("link", name="reader").first.click()
        chart = seen.page.locator("figure svg.wide")
        assert chart.is_visible()
        assert not seen.page.locator("figure svg.narrow").is_visible()
        assert chart.locator("circle.night").count() == 12
        assert chart.locator("circle.night.slower").count() == 1
        assert chart.locator("rect.band").count() == 9  # from the fourth night on
        last = chart.locator("circle.night.slower title").text_content()
        assert "slower than the band" in last
        band = chart.locator("rect.band").last.bounding_box()
        night = chart.locator("circle.night.slower").bounding_box()
        assert night["y"] + night["height"] < band["y"]
        seen.assert_quiet()


@pytest.mark.parametrize("width", [1200, 390])
def test_hostile_names_are_only_text(browser: Any, hostile_lab: Lab, width: int) -> None:
    with opened(browser, hostile_lab, width=width) as seen:
        paths = ["/", f"/job?id={hostile_lab.store.jobs()[0].job_id}"]
        for text in HOSTILE:
            paths.append(f"/phone?id={quote(text, safe='')}")
            paths.append(f"/history?model={quote(text, safe='')}&phone={quote(text, safe='')}")
        for index, path in enumerate(paths):
            answer = seen.page.goto(hostile_lab.base + path)
            assert answer.status == 200, path[:100]
            assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
            foreign = "document.querySelectorAll('img, iframe, object, embed, base').length"
            assert seen.page.evaluate(foreign) == 0
            assert seen.page.evaluate("document.querySelectorAll('title').length") >= 1
            assert "\u202e" not in seen.page.content()
            if index in (0, 2, 7):
                pictured(seen.page, f"hostile-{index}-{width}")
            seen.assert_quiet()
        seen.page.goto(hostile_lab.base + "/")
        text = seen.page.locator("#phones").inner_text()
        assert "<script>window.__pwned=1</script>" in text
        assert "⟨U+202E⟩" in text
        assert "{{7*7}}" in text


def test_links_lead_to_what_they_name(browser: Any, hostile_lab: Lab) -> None:
    with opened(browser, hostile_lab) as seen:
        links = seen.page.locator("#phones tbody th a")
        assert links.count() == len(HOSTILE)
        for index in range(len(HOSTILE)):
            link = seen.page.locator("#phones tbody th a").nth(index)
            wanted = link.inner_text()
            link.click()
            assert seen.page.locator("h1 bdi").inner_text() == wanted
            seen.page.go_back()
        seen.assert_quiet()


def test_a_script_that_got_in_would_not_run(browser: Any, lab: Lab) -> None:
    """The policy holds even where escaping were forgotten: plant a script and look."""
    bad = "<script>window.__pwned=9</script><img src=/icon.svg onload=window.__pwned=8>"

    def plant(route: Any) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.text().replace("<main>", f"<main>{bad}"))

    with opened(browser, lab) as seen:
        seen.page.route(f"{lab.base}/", plant)
        seen.page.goto(lab.base + "/")
        seen.page.wait_for_function("document.querySelector('img').complete")
        assert seen.page.evaluate("window.__pwned") is None
        assert any("Content Security Policy" in message for message in seen.console)


def test_without_the_token_nothing_of_the_lab_shows(browser: Any, lab: Lab) -> None:
    with opened(browser, lab) as seen:
        seen.page.context.clear_cookies()
        for path in (*PAGES, "/?token=" + "x" * 43, "/nowhere"):
            answer = seen.page.goto(lab.base + path)
            assert answer.status == 401
            assert "Pixel" not in seen.page.content()
            assert "reader" not in seen.page.content()
            assert seen.page.get_by_role("heading").inner_text() == "The lab's token is needed"
        pictured(seen.page, "no-token")


def test_the_page_renews_itself(browser: Any, lab: Lab) -> None:
    with opened(browser, lab) as seen:
        wanted = "document.querySelector('meta[http-equiv=refresh]').content"
        assert seen.page.evaluate(wanted) == "30"
        assert seen.page.locator("form, button, input").count() == 0
