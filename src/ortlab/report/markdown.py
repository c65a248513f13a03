"""The report for a pull request: GitHub's Markdown, with everything of others escaped."""

from __future__ import annotations

import re
from itertools import groupby
from operator import itemgetter

from ortlab import __version__
from ortlab.domain import Analysis, Run
from ortlab.report import conditions, shapes, view
from ortlab.text import duration, shorten, size, visible

_SPECIAL = re.compile(r"[\\`*_\[\]<>|~&$#]")
_LONGEST = 600
_WIDTH, _NARROWEST = 80, 20
"""Columns of a line about the browser; a name that is nothing but escapes keeps a few anyway."""


def escape(text: str) -> str:
    """Return text that Markdown shows as it is, on one line.

    Mentions, issue numbers and addresses are broken up too, so that a report in a comment calls
    nobody and links nowhere.
    """
    shown = shorten(visible(text), _LONGEST)
    shown = _SPECIAL.sub(lambda found: f"\\{found[0]}", shown)
    shown = re.sub(r"(@|\\#)(?=\w)", "\\1\N{WORD JOINER}", shown)
    shown = re.sub(r"(?i)(www|https?|ftp|mailto|xmpp|GH-)(?=[.:\d])", "\\1\N{WORD JOINER}", shown)
    return re.sub(r"^(\d*)([-+=.)])(?=\s|$)", r"\1\\\2", shown.strip())


def _code(text: str) -> str:
    """Return text as inline code, whatever backticks it holds."""
    shown = visible(text).replace("|", "\\|")
    fence = "`" * (max((len(run) for run in re.findall("`+", shown)), default=0) + 1)
    pad = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def render(run: Run, analysis: Analysis) -> str:
    """Return the report as Markdown."""
    experiment, device = run.experiment, run.experiment.device
    virtual = " (virtual device)" if device.virtual else ""
    lines = [f"### ortlab: {escape(experiment.model_name)} on {escape(device.name)}{virtual}", ""]
    if device.virtual:
        lines += [
            "> **Virtual device.** These figures say nothing about a phone.",
            "",
        ]
    if not analysis.finished:
        lines += [f"> **Not finished:** {escape(analysis.stop_reason)}", ""]
    lines += [f"**{escape(analysis.recommendation.sentence)}**", ""]
    prefix = "Virtual device: " if device.virtual else ""
    lines += [f"- {prefix}{escape(line)}" for line in _headlines(analysis)]
    lines += ["", *_table(run, analysis), "", *_trust(analysis), "", *_browser(run)]
    lines += [f"{what}: {_code(command)}  " for what, command in conditions.commands(run)[:1]]
    lines.append(
        f"<sub>{analysis.rounds} rounds, {escape(analysis.stop_reason)}; experiment"
        f" {escape(experiment.experiment_id)}; ortlab {__version__}</sub>"
    )
    return "\n".join(lines) + "\n"


def _headlines(analysis: Analysis) -> tuple[str, ...]:
    lines = [c.sentence for c in analysis.comparisons]
    return (*lines, *view.extra_headlines(analysis))


def _table(run: Run, analysis: Analysis) -> list[str]:
    lines = [
        "| arm | verdict | against the baseline | median | p90 | peak memory | file | fused |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for arm in view.arm_views(run, analysis):
        effect = arm.comparison.effect if arm.comparison else None
        against = shapes.effect_value(effect.ratio, effect.low, effect.high) if effect else "–"
        latency = arm.summary.latency
        fused = sum(item.count for item in arm.summary.executed if "Fused" in item.operator)
        cells = (
            escape(arm.arm.label),
            f"**{arm.comparison.verdict}**" if arm.comparison else "baseline",
            escape(against),
            duration(latency.median_ns if latency else None),
            duration(latency.p90_ns if latency else None),
            size(arm.peak_bytes),
            size(arm.arm.size_bytes or None),
            str(fused) if arm.summary.executed else "–",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _trust(analysis: Analysis) -> list[str]:
    lines = [f"**Trust: {analysis.grade}**"]
    if not analysis.findings:
        return [f"{lines[0]} – no rule of the trust table lowers it."]
    lines.append("")
    lines += [f"- {finding.grade}: {escape(finding.sentence)}" for finding in analysis.findings]
    return lines


def _browser(run: Run) -> list[str]:
    """Return what pages told of their browser, a line a fact; nothing where no page ran."""
    lines = []
    for name, rows in groupby(conditions.browser_rows(run), key=itemgetter(0)):
        found = [words for _, words in rows]
        if len(found) == 1:
            lines.append(_within_width(f"- {name}: ", found[0]))
        else:
            lines += [f"- {name}:", *(_within_width("  - ", words) for words in found)]
    return ["**Measured in a browser**", "", *lines, ""] if lines else []


def _within_width(start: str, words: str) -> str:
    room = _WIDTH - len(start)
    shown = shorten(visible(words), room)
    excess = max(len(escape(shown)) - room, 0)
    return start + escape(shorten(shown, max(len(shown) - excess, _NARROWEST)))
