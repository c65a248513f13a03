"""The report in a real browser: offline, with scripts off and on, with hostile names.

Every request but the file itself is refused and counted; a dialog, an error of the console or a
script of the names' would fail the test.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from conftest import find_chromium
from ortlab.domain import Block
from ortlab.report import ReportFormat, write_report
from ortlab.wire import BrowserFacts
from report_samples import BROWSER, Rename, hostile, in_browser, make_sample, plain, very_hostile

pytestmark = pytest.mark.requires("chromium")

CHARTS = 5
RENAMES = {"plain": plain, "hostile": hostile, "very hostile": very_hostile}


@dataclass
class Seen:
    """What a page did that it should not, and the page."""

    page: Any
    console: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def assert_quiet(self) -> None:
        assert self.console == []
        assert self.dialogs == []
        assert self.requests == []


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


def told_by(rename: Rename) -> Callable[[Block], BrowserFacts]:
    """Return what a browser with such names tells of any block."""
    told = replace(BROWSER, adapter=rename("adapter"), user_agent=rename("agent"))
    return lambda _: told


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = {}
    for name, rename in RENAMES.items():
        sample = in_browser(make_sample(rename=rename, samples=60), told_by(rename))
        files = write_report(
            sample.run,
            sample.analysis,
            sample.prepared,
            tmp_path_factory.mktemp("report"),
            formats=frozenset({ReportFormat.HTML}),
        )
        assert files.html is not None
        found[name] = files.html
    return found


@contextmanager
def opened(browser: Any, report: Path, *, width: int = 1200, **options: Any) -> Iterator[Seen]:
    context = browser.new_context(viewport={"width": width, "height": 900}, offline=True, **options)
    page = context.new_page()
    seen = Seen(page=page)
    page.on("console", lambda message: seen.console.append(message.text))
    page.on("pageerror", lambda error: seen.console.append(str(error)))

    def dismiss(dialog: Any) -> None:
        seen.dialogs.append(dialog.message)
        dialog.dismiss()

    def answer(route: Any) -> None:
        if route.request.url == report.as_uri():
            route.continue_()
        else:
            seen.requests.append(route.request.url)
            route.abort()

    page.on("dialog", dismiss)
    context.route("**/*", answer)
    page.goto(report.as_uri())
    yield seen
    context.close()


def assert_charts_show(page: Any, css_class: str) -> None:
    charts = page.locator(f"figure svg.{css_class}")
    assert charts.count() == CHARTS
    for index in range(CHARTS):
        box = charts.nth(index).bounding_box()
        assert box is not None
        assert box["width"] > 250
        assert box["height"] > 60
        drawn = charts.nth(index).locator("path, rect, line").count()
        assert drawn > 3
    other = {"wide": "narrow", "narrow": "wide"}[css_class]
    assert not any(chart.is_visible() for chart in page.locator(f"svg.{other}").all())


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts on", "scripts off"])
@pytest.mark.parametrize("name", RENAMES)
def test_opens_offline_and_runs_nobodys_script(
    browser: Any, reports: dict[str, Path], name: str, scripts: bool
) -> None:
    with opened(browser, reports[name], java_script_enabled=scripts) as seen:
        assert_charts_show(seen.page, "wide")
        for element in ("What to ship", "Verdicts", "Executed operators", "Repeat it"):
            assert seen.page.get_by_role("heading", name=element).first.is_visible()
        for fact in ("Browser", "WebGPU adapter"):
            assert seen.page.locator("#why dt").get_by_text(fact, exact=True).is_visible()
        if scripts:
            assert seen.page.evaluate("window.__pwned") is None
            assert seen.page.evaluate("document.scripts.length") == 1
            assert (
                seen.page.evaluate("document.querySelectorAll('img, iframe, object').length") == 0
            )
        seen.assert_quiet()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["plain", "very hostile"])
def test_fits_a_phone(browser: Any, reports: dict[str, Path], name: str, scheme: str) -> None:
    with opened(browser, reports[name], width=390, color_scheme=scheme) as seen:
        assert_charts_show(seen.page, "narrow")
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= 390
        seen.assert_quiet()


def test_pointing_at_a_mark_tells_it_and_shows_names_as_text(
    browser: Any, reports: dict[str, Path]
) -> None:
    with opened(browser, reports["very hostile"]) as seen:
        mark = seen.page.locator("#memory svg.wide .m[data-arm='1']").first
        mark.scroll_into_view_if_needed()
        seen.page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
        mark.hover()
        tip = seen.page.locator(".tip")
        assert tip.is_visible()
        assert "VmRSS 31.0 MB" in tip.inner_text()
        assert "<script>" in tip.inner_text()
        assert tip.locator("*").count() == 0
        assert seen.page.evaluate("window.__pwned") is None
        seen.assert_quiet()


def test_without_scripts_marks_carry_their_words(browser: Any, reports: dict[str, Path]) -> None:
    with opened(browser, reports["plain"], java_script_enabled=False) as seen:
        title = seen.page.locator("svg.wide .m[data-arm='1'] > title").first
        assert "Fixed" in (title.text_content() or "")
        assert seen.page.locator("button").count() == 0


def test_a_legend_lights_an_arm_and_a_head_sorts(browser: Any, reports: dict[str, Path]) -> None:
    with opened(browser, reports["plain"]) as seen:
        button = seen.page.locator(".legend button").nth(1)
        button.click()
        assert button.get_attribute("aria-pressed") == "true"
        lit = seen.page.locator("svg.wide .m.lit")
        assert lit.count() > 10
        assert {mark.get_attribute("data-arm") for mark in lit.all()} == {"1"}
        button.click()
        assert lit.count() == 0

        table = seen.page.locator("#latency table.sortable").first

        def medians() -> list[float]:
            return [
                float(cell.get_attribute("data-v") or "nan")
                for cell in table.locator("tbody td:nth-child(2)").all()
            ]

        table.get_by_role("button", name="Median").click()
        assert medians() == sorted(medians())
        table.get_by_role("button", name="Median").click()
        assert medians() == sorted(medians(), reverse=True)
        seen.assert_quiet()


def test_a_script_that_got_in_would_not_run(
    browser: Any, reports: dict[str, Path], tmp_path: Path
) -> None:
    """The policy holds even where escaping were forgotten: plant a script and look."""
    source = reports["plain"].read_text(encoding="utf-8")
    planted = tmp_path / "planted.html"
    bad = "<script>window.__pwned=9</script><img src='data:,' onerror='window.__pwned=8'>"
    planted.write_text(source.replace("<main>", f"<main>{bad}"), encoding="utf-8")
    with opened(browser, planted) as seen:
        seen.page.wait_for_function("document.querySelector('img').complete")
        assert seen.page.evaluate("window.__pwned") is None
        assert any("Content Security Policy" in message for message in seen.console)


def test_a_virtual_device_is_named_in_title_and_banner(browser: Any, tmp_path: Path) -> None:
    sample = make_sample(virtual=True, rounds=8, samples=20)
    files = write_report(sample.run, sample.analysis, sample.prepared, tmp_path)
    assert files.html is not None
    with opened(browser, files.html) as seen:
        assert seen.page.title().startswith("Virtual device: ")
        assert seen.page.locator(".banner").first.is_visible()
        verdicts = seen.page.locator(".verdicts li").all_inner_texts()
        assert len(verdicts) == 3
        assert all("Virtual device:" in text for text in verdicts)
        seen.assert_quiet()
