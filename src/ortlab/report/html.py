"""The report for people: one HTML file that needs no network and runs nobody's script.

What is not our own markup is escaped twice over: jinja2 escapes it, and every character that acts
unseen is shown as a sign first. A content security policy allows the one script of ours, by hash.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ortlab import __version__, text
from ortlab.domain import Analysis, Grade, PreparedModel, Run, Verdict
from ortlab.report import bars, charts, conditions, shapes, view
from ortlab.report.canvas import Row
from ortlab.report.frames import BlockSamples, block_samples

if TYPE_CHECKING:
    from jinja2 import Environment

MOST_FAILURES = 40
_LONGEST_NAME = 120


def render(
    run: Run,
    analysis: Analysis,
    prepared: PreparedModel | None,
    *,
    samples: Sequence[BlockSamples] | None = None,
) -> str:
    """Return the report as HTML.

    Args:
        run: Finished or not.
        analysis: Of that run.
        prepared: The model that was run, or None.
        samples: Of the run, where they were read already.
    """
    found = block_samples(run) if samples is None else samples
    arms = view.arm_views(run, analysis)
    environment = markup_environment()
    style = environment.loader.get_source(environment, "style.css")[0]  # type: ignore[union-attr]
    script = environment.loader.get_source(environment, "script.js")[0]  # type: ignore[union-attr]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("report.html").render(
        style=own_markup(style),
        script=own_markup(script),
        script_hash=f"sha256-{digest}",
        version=__version__,
        run=run,
        experiment=run.experiment,
        device=run.experiment.device,
        analysis=analysis,
        prepared=prepared,
        arms=arms,
        charts=_charts(run, analysis, arms, found),
        operators=view.operator_rows(arms),
        placement=view.placement_rows(run, arms, prepared),
        releases=view.release_ranges(prepared) if prepared else (),
        sizes=view.size_rows(run, prepared),
        conditions=conditions.condition_rows(run),
        disturbances=conditions.disturbances(run),
        commands=conditions.commands(run),
        versions=_versions(run, analysis),
        headlines=view.extra_headlines(analysis),
        evidence=view.evidence(analysis),
        verdict_classes=view.VERDICT_CLASSES,
        labels={arm.arm_id: arm.label for arm in run.experiment.arms},
        failures=[(v, failure) for v in arms for failure in v.summary.failures],
        most_failures=MOST_FAILURES,
        none=Grade.NONE,
    )


def _versions(run: Run, analysis: Analysis) -> tuple[str, ...]:
    ran = dict.fromkeys(arm.ort_version for arm in analysis.arms if arm.ort_version)
    return tuple(ran) or (run.experiment.device.ort_version,)


def own_markup(source: str) -> Any:
    """Mark text as ours, so that it is not escaped."""
    from markupsafe import Markup

    return Markup(source)  # noqa: S704 - our own files and charts


def markup_environment() -> Environment:
    """Return what renders our templates, with everything of others escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("ortlab.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters.update(
        duration=text.duration,
        size=text.size,
        percent=text.percent,
        change=text.change,
        number=text.three_digits,
        lines=_lines,
        named=_named,
    )
    return environment


def _shown(value: Any) -> Any:
    """Make every text that a template prints visible and of bearable length; markup is ours."""
    if value is None:
        return "–"
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return text.shorten(text.visible(value))
    return value


def _named(value: str) -> str:
    """Return a name short enough for a heading or a cell."""
    return text.shorten(text.visible(value), _LONGEST_NAME)


def _lines(value: str) -> Any:
    """Keep the lines of a message that is shown preformatted."""
    from markupsafe import escape

    return escape(text.shorten(text.visible(value, keep_lines=True)))


# ------------------------------------------------------------------------------ charts


def _charts(
    run: Run,
    analysis: Analysis,
    arms: Sequence[view.ArmView],
    samples: Sequence[BlockSamples],
) -> dict[str, Any]:
    colours = [arm.colour for arm in arms]
    drawn = {
        "effect": _effect(run, arms),
        "distribution": _distribution(run, arms, samples),
        "time": _time(run, samples, colours),
        "memory": _memory(run, analysis, colours),
        "cold_start": _cold_start(analysis, arms),
    }
    return {
        name: {"svg": own_markup(chart[0]), **chart[1]} if chart else None
        for name, chart in drawn.items()
    }


_Drawn = tuple[str, dict[str, Any]]


def _effect(run: Run, arms: Sequence[view.ArmView]) -> _Drawn | None:
    rule = run.experiment.rule
    rows = []
    for arm in arms:
        comparison = arm.comparison
        if comparison is None or comparison.effect is None:
            continue
        effect, calm = comparison.effect, comparison.effect_undisturbed
        value = shapes.effect_value(effect.ratio, effect.low, effect.high)
        rows.append(
            charts.EffectRow(
                row=Row(name=arm.arm.label, value=value, colour=_verdict_colour(comparison)),
                arm=arm.index,
                ratio=effect.ratio,
                low=effect.low,
                high=effect.high,
                decided=comparison.verdict not in (Verdict.INCONCLUSIVE, Verdict.NONE),
                tip=comparison.sentence,
                calm=(calm.ratio, calm.low, calm.high) if calm else None,
            )
        )
    if not rows:
        return None
    margin = max(rule.equivalence_margin, rule.floor or 0.0)
    base = next((arm.arm.label for arm in arms if arm.is_baseline), "")
    words = "; ".join(f"{row.row.name} {row.row.value}" for row in rows)
    label = f"Latency of each arm against the baseline {base}, with intervals: {words}"
    drawn = charts.effect_chart(rows, margin=margin, floor=rule.floor, baseline=base, label=label)
    calm_drawn = any(row.calm for row in rows)
    return drawn, {"margin": margin, "floor": rule.floor, "base": base, "calm": calm_drawn}


def _verdict_colour(comparison: Any) -> str:
    return f"var(--{view.VERDICT_CLASSES[comparison.verdict]})"


def _distribution(
    run: Run, arms: Sequence[view.ArmView], samples: Sequence[BlockSamples]
) -> _Drawn | None:
    axis, found = shapes.distributions(run, samples)
    if not found:
        return None
    rows = [
        Row(
            name=arms[item.arm].arm.label,
            value=text.duration(item.quantiles[2] * axis.unit_ns),
            colour=arms[item.arm].colour,
        )
        for item in found
    ]
    label = "Distribution of the measured samples of each arm: " + "; ".join(
        item.tip for item in found
    )
    facts = {
        "count": sum(item.sample_count for item in found),
        "beyond": sum(item.beyond for item in found),
        "end": f"{text.three_digits(axis.domain[1])} {axis.unit}",
    }
    return charts.distribution_chart(rows, found, axis, label), facts


def _time(run: Run, samples: Sequence[BlockSamples], colours: Sequence[str]) -> _Drawn | None:
    found = shapes.strips(run, samples, colours)
    if not found.lines:
        return None
    rows = [
        Row(name=name, value=value, colour=line.colour)
        for (name, value), line in zip(found.names, found.lines, strict=True)
    ]
    label = "Median of each block in the order measured, a strip an arm: " + "; ".join(
        f"{name} {value}" for name, value in found.names
    )
    facts = {
        "span": found.span,
        "disturbed": sum(slot.disturbed for slot in found.slots),
        "resumed": sum(slot.resumed for slot in found.slots),
        "heat": any(line.plain for line in found.lines),
    }
    return charts.time_chart(rows, found, label), facts


def _memory(run: Run, analysis: Analysis, colours: Sequence[str]) -> _Drawn | None:
    found = bars.memory_bars(run, analysis, colours)
    if found is None:
        return None
    label = "Memory of each arm by phase: " + "; ".join(
        point.tip for point in (*found.current, *found.peak)
    )
    facts = {"current": found.current_metric, "peak": found.peak_metric if found.peak else ""}
    return charts.memory_chart(found, label), facts


def _cold_start(analysis: Analysis, arms: Sequence[view.ArmView]) -> _Drawn | None:
    labels = {arm.arm.arm_id: (arm.index, arm.arm.label) for arm in arms}
    parts = bars.cold_start_parts(analysis, labels)
    if not parts:
        return None
    ends: dict[int, float] = {}
    row_arms: dict[int, int] = {}
    for part in parts:
        ends[part.row] = part.end_ms
        row_arms[part.row] = part.arm
    rows = [
        Row(
            name=arms[row_arms[row]].arm.label,
            value=text.duration(end * 1e6),
            colour="var(--ink)",
        )
        for row, end in ends.items()
    ]
    label = "Cold start of each arm: " + "; ".join(part.tip for part in parts)
    legend = [(words, colour) for _, words, colour in bars.COLD_START_PARTS]
    return charts.cold_start_chart(rows, parts, label), {"legend": legend}
