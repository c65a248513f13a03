"""One page over what several devices measured: names harm nothing, links lead to the reports."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest

from ortlab.domain import DeviceKind
from ortlab.errors import DeviceLostError, OrtlabError
from ortlab.report import IndexEntry, ReportFiles, write_index
from ortlab.report.index import render_html, render_markdown
from report_samples import hostile, make_sample, plain, very_hostile

LOST = DeviceLostError("cannot run blocks on it: the cable", next_step="plug it in again")


def entry(
    directory: Path, kind: DeviceKind, *, rename: Callable[[str], str] = plain, virtual: bool = True
) -> IndexEntry:
    sample = make_sample(rename=rename, virtual=virtual, samples=20)
    experiment = sample.run.experiment
    device = replace(experiment.device, kind=kind, name=rename(f"phone {kind}"))
    run = replace(sample.run, experiment=replace(experiment, device=device))
    report = directory / f"run <{kind}> #1 ü" / "report"
    files = ReportFiles(directory=report, html=report / "report.html")
    return IndexEntry(run=run, analysis=sample.analysis, report=files)


def entries(directory: Path, rename: Callable[[str], str] = plain) -> list[IndexEntry]:
    return [
        entry(directory, DeviceKind.ANDROID, rename=rename),
        entry(directory, DeviceKind.IOS, rename=rename),
        entry(directory, DeviceKind.HOST, rename=rename, virtual=False),
    ]


def failures(rename: Callable[[str], str] = plain) -> list[tuple[str, OrtlabError]]:
    return [(rename("R58M123ABC"), LOST)]


def test_each_device_stands_there_with_its_verdicts_and_a_link(tmp_path: Path) -> None:
    found = entries(tmp_path)
    for item in found:
        assert item.report.html is not None
        item.report.directory.mkdir(parents=True)
        item.report.html.write_text("the report")
    page = write_index(found, failures(), tmp_path)
    source = page.read_text()
    links = re.findall(r'href="([^"]+)"', source)
    assert [(tmp_path / unquote(link)).read_text() for link in links] == ["the report"] * 3
    assert source.count("Virtual device ·") == 2
    for word in ("Android", "iOS", "This machine", "phone ios", "plug it in again"):
        assert word in source
    for comparison in found[0].analysis.comparisons:
        assert str(comparison.verdict) in source
    markdown = (tmp_path / "index.md").read_text()
    arms = len(found[0].run.experiment.arms)
    assert markdown.count("\n| [phone") == 3 * arms
    assert markdown.count("(virtual)](") == 2 * arms
    assert "R58M123ABC: cannot run blocks" in markdown
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [
        "index.html", "index.md",
    ]  # fmt: skip


@pytest.mark.parametrize("rename", [hostile, very_hostile])
def test_names_never_change_the_structure(tmp_path: Path, rename: Callable[[str], str]) -> None:
    def shape(name: Callable[[str], str]) -> list[str]:
        page = render_html(entries(tmp_path, name), failures(name), tmp_path)
        assert "<script" not in page
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", page)
        return re.findall(r"<(\w+)", page)

    assert shape(rename) == shape(plain)
    lines = render_markdown(entries(tmp_path, rename), failures(rename), tmp_path).splitlines()
    assert len(lines) == len(render_markdown(entries(tmp_path), failures(), tmp_path).splitlines())


def test_a_page_needs_no_network_and_runs_nothing(tmp_path: Path) -> None:
    page = render_html(entries(tmp_path), (), tmp_path)
    assert "default-src 'none'" in page
    assert "script-src" not in page
    assert not re.search(r"(?:src|href)=\"(?:https?:|//)", page)
    assert "Not measured" not in page


def test_without_an_html_report_there_is_no_link(tmp_path: Path) -> None:
    item = entry(tmp_path, DeviceKind.IOS)
    bare = replace(item, report=ReportFiles(directory=tmp_path))
    assert "<a " not in render_html([bare], (), tmp_path)
    assert "](" not in render_markdown([bare], (), tmp_path)
