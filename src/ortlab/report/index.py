"""One page over what was measured together: a device each, side by side, with its report.

Devices are never compared with each other: a verdict belongs to the experiment on one of them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from ortlab import __version__
from ortlab.domain import Analysis, Run
from ortlab.errors import OrtlabError
from ortlab.report.files import ReportFiles, write_staged, writing

if TYPE_CHECKING:
    from ortlab.report.view import ArmView

HTML_NAME = "index.html"
MARKDOWN_NAME = "index.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexEntry:
    """A device that was measured.

    Attributes:
        run: On it.
        analysis: Of that run.
        report: Files of its report.
    """

    run: Run
    analysis: Analysis
    report: ReportFiles


def write_index(
    entries: Sequence[IndexEntry], failures: Sequence[tuple[str, OrtlabError]], directory: Path
) -> Path:
    """Write `index.html` and `index.md` over runs of one command.

    Args:
        entries: One a device.
        failures: Device id and what went wrong there.
        directory: That they are written to; links in them start there.

    Returns:
        The HTML page.

    Raises:
        StorageError: The directory cannot be written to.
    """
    write_staged(directory / MARKDOWN_NAME, writing(render_markdown(entries, failures, directory)))
    return write_staged(directory / HTML_NAME, writing(render_html(entries, failures, directory)))


def render_html(
    entries: Sequence[IndexEntry], failures: Sequence[tuple[str, OrtlabError]], directory: Path
) -> str:
    """Return the page as HTML; see :func:`write_index`."""
    from ortlab.report import view
    from ortlab.report.html import markup_environment, own_markup

    environment = markup_environment()
    style = environment.loader.get_source(environment, "style.css")[0]  # type: ignore[union-attr]
    return environment.get_template("index.html").render(
        style=own_markup(style),
        version=__version__,
        model=entries[0].run.experiment.model_name if entries else "",
        entries=[
            {
                "device": entry.run.experiment.device,
                "analysis": entry.analysis,
                "arms": view.arm_views(entry.run, entry.analysis),
                "link": _link(entry, directory),
                "experiment": entry.run.experiment,
            }
            for entry in entries
        ],
        failures=failures,
        verdict_classes=view.VERDICT_CLASSES,
        against=_against,
    )


def render_markdown(
    entries: Sequence[IndexEntry], failures: Sequence[tuple[str, OrtlabError]], directory: Path
) -> str:
    """Return the page as Markdown; see :func:`write_index`."""
    from ortlab.report.markdown import escape
    from ortlab.report.view import arm_views
    from ortlab.text import duration

    model = entries[0].run.experiment.model_name if entries else ""
    lines = [f"### ortlab: {escape(model)} on {len(entries)} devices", ""]
    lines += [
        "| device | arm | verdict | against the baseline | median | p90 | trust |",
        "|---|---|---|--:|--:|--:|---|",
    ]
    for entry in entries:
        device, link = entry.run.experiment.device, _link(entry, directory)
        virtual = " (virtual)" if device.virtual else ""
        name = f"{escape(device.name)}{virtual}"
        for arm in arm_views(entry.run, entry.analysis):
            latency = arm.summary.latency
            cells = (
                f"[{name}]({link})" if link else name,
                escape(arm.arm.label),
                f"**{arm.comparison.verdict}**" if arm.comparison else "baseline",
                escape(_against(arm)),
                duration(latency.median_ns if latency else None),
                duration(latency.p90_ns if latency else None),
                str(entry.analysis.grade),
            )
            lines.append(f"| {' | '.join(cells)} |")
    lines += ["", *(f"- {escape(device)}: {escape(error.message)}" for device, error in failures)]
    lines.append("<sub>Verdicts hold on one device each; devices are not compared.</sub>")
    return "\n".join(lines) + "\n"


def _against(arm: ArmView) -> str:
    from ortlab.report import shapes

    effect = arm.comparison.effect if arm.comparison else None
    return shapes.effect_value(effect.ratio, effect.low, effect.high) if effect else "–"


def _link(entry: IndexEntry, directory: Path) -> str:
    page = entry.report.html or entry.report.markdown
    if page is None:
        return ""
    relative = Path(os.path.relpath(page.absolute(), directory.absolute())).as_posix()
    return quote(os.fsencode(relative))
