"""Under which circumstances a run was measured, and how to repeat it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from ortlab.domain import Outcome, Run, StoppingRule
from ortlab.text import limit, shell_quote, size, three_digits
from ortlab.wire import BlockResult, BrowserFacts, Conditions

_IN_EVERY_USER_AGENT = re.compile(r"Mozilla/5\.0 |AppleWebKit/\S+ |\(KHTML, like Gecko\) ")


def condition_rows(run: Run) -> tuple[tuple[str, str], ...]:
    """Return what is known of device, runtime and circumstances, as name and words."""
    experiment, device = run.experiment, run.experiment.device
    results = [block.result for block in run.blocks if block.result is not None]
    rows = [
        ("Device", f"{device.name} ({device.device_id})"),
        ("Kind", f"{device.kind}{', virtual' * device.virtual}{', emulator' * device.emulator}"),
        ("System", f"{device.os_version}, {device.architecture}"),
        ("CPU", device.cpu),
        ("Memory", size(device.memory_bytes)),
        *_runtime_rows(results),
        *browser_rows(run),
        *_moment_rows(results),
        ("Sample", "; ".join((experiment.sample.origin, *experiment.sample.notes))),
        ("Rounds may stop at", ", ".join(str(look) for look in experiment.rule.looks)),
        ("False alarm rate", _alpha(experiment.rule)),
        ("Equivalence margin", f"±{limit(experiment.rule.equivalence_margin)}"),
        (
            "Noise floor of the device",
            "unknown" if experiment.rule.floor is None else f"±{limit(experiment.rule.floor)}",
        ),
        ("Seed of the order", str(experiment.seed)),
    ]
    return tuple((name, words) for name, words in rows if words)


def _alpha(rule: StoppingRule) -> str:
    return (
        f"{limit(rule.family_alpha)} a comparison over all looks, {limit(rule.look_alpha)} at each"
        f" look, divided by {max(rule.comparisons, 1)} comparison(s)"
    )


def _runtime_rows(results: Sequence[BlockResult]) -> list[tuple[str, str]]:
    runtimes = [result.runtime for result in results if result.runtime is not None]
    clocks = [result.clock for result in results if result.browser is None]
    runners = (
        f"{facts.language} {facts.language_version}, runner {facts.runner_version}"
        for facts in runtimes
    )
    return [
        ("ONNX Runtime", _listed(facts.ort_version for facts in runtimes)),
        ("ORT build", _listed(facts.build_info for facts in runtimes)),
        ("Runner", _listed(runners)),
        ("Clock", _listed(f"{c.name}, resolution {c.resolution_ns} ns" for c in clocks)),
    ]


def _moment_rows(results: Sequence[BlockResult]) -> list[tuple[str, str]]:
    moments = [
        moment
        for result in results
        for moment in (result.conditions_before, result.conditions_after)
        if moment is not None
    ]
    return [
        ("Temperature", _range([m.temperature_c for m in moments], "°C")),
        ("Thermal status", _listed(m.thermal_status for m in moments)),
        ("Battery", _range([m.battery_percent for m in moments], "%")),
        ("Charging", _listed(_yes(m.charging) for m in moments)),
        ("Low-power mode", _listed(_yes(m.low_power_mode) for m in moments)),
        ("CPU governor", _listed(m.cpu_governor for m in moments)),
        ("CPU frequency", _frequencies(moments)),
        (
            "CPU used by others",
            _range(
                [None if m.busy_fraction is None else m.busy_fraction * 100 for m in moments], "%"
            ),
        ),
    ]


def browser_rows(run: Run) -> tuple[tuple[str, str], ...]:
    """Return what pages told of their browser, as name and words; nothing where no page ran.

    What the arms differ in has one row for each arm, all of the same name.
    """
    results = [block.result for block in run.blocks if block.result and block.result.browser]
    told = [result.browser for result in results if result.browser]
    if not told:
        return ()
    steps = _range([facts.clock_step_ns / 1000 or None for facts in told], "µs")
    clock = _listed(result.clock.name for result in results)
    rows = [
        ("Browser", _listed(_IN_EVERY_USER_AGENT.sub("", facts.user_agent) for facts in told)),
        ("Page", f"{_isolation(told)}, {_visibility(told)}"),
        ("Clock step", f"{steps or 'too coarse to be seen'} ({clock})"),
        *_rows_by_arm(run, "Threads", _threads),
        *_rows_by_arm(run, "WebGPU adapter", _adapters),
    ]
    return tuple((name, words) for name, words in rows if words)


def _rows_by_arm(
    run: Run, name: str, words_of: Callable[[Sequence[BrowserFacts]], str]
) -> list[tuple[str, str]]:
    """Return one row where all arms are alike, else one for each arm that has something to say."""
    words = {}
    for arm in run.experiment.arms:
        # A block that failed early tells what the runtime was set to, not what it made of it.
        told = [
            block.result.browser
            for block in run.blocks
            if block.arm_id == arm.arm_id and block.outcome is Outcome.OK
            if block.result and block.result.browser
        ]
        words[arm.arm_id] = words_of(told) if told else ""
    if len(set(words.values())) == 1:
        return [(name, next(iter(words.values())))]
    return [
        (name, f"{arm.label} – {words[arm.arm_id]}")
        for arm in run.experiment.arms
        if words[arm.arm_id]
    ]


def _isolation(told: Sequence[BrowserFacts]) -> str:
    isolated = sum(facts.cross_origin_isolated for facts in told)
    if not isolated:
        return "not cross-origin isolated"
    where = "" if isolated == len(told) else f" in {isolated} of {len(told)} blocks"
    return f"cross-origin isolated{where}"


def _visibility(told: Sequence[BrowserFacts]) -> str:
    hidden = sum(not facts.visible for facts in told)
    return f"hidden at times in {hidden} of {len(told)} blocks" if hidden else "always visible"


def _threads(told: Sequence[BrowserFacts]) -> str:
    asked = _counts(facts.threads_asked for facts in told)
    got = _counts(facts.threads_got for facts in told)
    if not got:
        return f"{asked} asked for" if asked else ""
    return f"{asked} asked for, {got} got" if asked else f"{got}, as the runtime chose"


def _adapters(told: Sequence[BrowserFacts]) -> str:
    kinds = {True: "software", False: "not software", None: "software or not: unknown"}
    return _listed(
        f"{facts.adapter} ({kinds[facts.adapter_is_fallback]})" for facts in told if facts.adapter
    )


def _yes(value: bool | None) -> str | None:  # noqa: FBT001
    return None if value is None else "yes" if value else "no"


def _listed(words: Iterable[str | None]) -> str:
    return ", ".join(dict.fromkeys(word for word in words if word))


def _range(values: Iterable[float | None], unit: str) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return ""
    low, high = three_digits(min(known)), three_digits(max(known))
    return f"{low} {unit}" if low == high else f"{low} to {high} {unit}"


def _counts(values: Iterable[int | None]) -> str:
    known = sorted({value for value in values if value is not None})
    return (
        " to ".join(str(value) for value in dict.fromkeys((known[0], known[-1]))) if known else ""
    )


def _frequencies(moments: Sequence[Conditions]) -> str:
    known = [float(khz) / 1000 for moment in moments for khz in moment.cpu_frequency_khz]
    return _range(known, "MHz")


def disturbances(run: Run) -> tuple[tuple[str, str], ...]:
    """Return where a block was disturbed, and why."""
    rows = []
    for block in run.blocks:
        if block.disturbances:
            label = run.experiment.arm(block.arm_id).label
            where = f"round {block.round_index + 1}, attempt {block.attempt + 1}, {label}"
            rows.append((where, "; ".join(block.disturbances)))
    return tuple(rows)


def commands(run: Run) -> tuple[tuple[str, str], ...]:
    """Return what each command does, and the command."""
    directory = shell_quote(str(run.directory))
    rows = [("Measure again", run.experiment.command)] if run.experiment.command else []
    rows += [
        ("Write this report again", f"ortlab report {directory}"),
        ("Use it as a gate", f"ortlab gate {directory} --max-slowdown 2%"),
    ]
    return tuple(rows)
