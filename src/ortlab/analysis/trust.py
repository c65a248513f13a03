"""How far a result may be trusted: the table of rules, in one place.

Each rule has a name, the best grade that remains when it applies, a sentence that says why it
matters, and a test on the evidence that answers where it applies. The grade of a run is the
lowest of its findings, A when there are none. Source: `docs/method.md`, "Trust".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from ortlab.domain import (
    ArmSummary,
    Block,
    DeviceKind,
    Grade,
    Outcome,
    ParityStatus,
    Run,
    TrustFinding,
)
from ortlab.wire import BlockResult, BrowserFacts, Conditions, Purpose

FEWEST_ROUNDS = 8
LOWEST_BATTERY_PERCENT = 30.0
COARSE_SHARE = 0.01
BUSY_CORES = 0.5
BUSY_SHARE_OF_BLOCKS = 0.1
FREQUENCY_SWING = 0.05

_COOL = frozenset({"none", "nominal"})
_WITHOUT_VERDICT = frozenset({"shared_process"})
"""Rules whose grade is above none and that take the verdict all the same."""
_COMPUTERS = frozenset({DeviceKind.HOST, DeviceKind.WEB})
"""Devices whose blocks may run on a computer, which tells how busy and how fast it is."""
_ORDER = (Grade.A, Grade.B, Grade.C, Grade.NONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the rules look at.

    Attributes:
        run: As recorded.
        rounds: Complete latency rounds.
        arms: Summaries by arm id.
    """

    run: Run
    rounds: int
    arms: Mapping[str, ArmSummary]


Hit = tuple[str | None, str]
"""Arm concerned (None for the whole run) and what was seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustRule:
    """One line of the table.

    Attributes:
        name: Unique.
        grade: Best grade that remains when it applies.
        meaning: Why it matters, in a sentence.
        applies: Yields where it applies and what was seen.
    """

    name: str
    grade: Grade
    meaning: str
    applies: Callable[[Evidence], Iterator[Hit]]


# ------------------------------------------------------------------------------ grade none


def _virtual_device(evidence: Evidence) -> Iterator[Hit]:
    if evidence.run.experiment.device.virtual:
        yield None, f"{evidence.run.experiment.device.name} is a virtual device"


def _parity(evidence: Evidence) -> Iterator[Hit]:
    for arm_id, summary in evidence.arms.items():
        if summary.parity is None or summary.parity.status is ParityStatus.NOT_CHECKED:
            reason = summary.parity.reason if summary.parity else "no parity block succeeded"
            yield arm_id, f"the outputs of {arm_id} were not compared on the device: {reason}"
        elif summary.parity.status is ParityStatus.FAILED:
            reason = summary.parity.reason or f"out of {summary.parity.rule}"
            yield arm_id, f"the outputs of {arm_id} are wrong on the device: {reason}"


def _replay(evidence: Evidence) -> Iterator[Hit]:
    for arm_id, summary in evidence.arms.items():
        if not summary.replay_as_asked:
            asked = evidence.run.experiment.arm(arm_id).replay
            seen = f"{arm_id} asked for replay {asked}, and the executed operators say "
            yield arm_id, seen + summary.replay


def _not_from_ort(evidence: Evidence) -> Iterator[Hit]:
    for arm_id, summary in evidence.arms.items():
        unknown = [
            block
            for block in latency_blocks(evidence.run, arm_id)
            if block.result is None
            or block.result.runtime is None
            or not block.result.runtime.ort_version
        ]
        if unknown:
            yield arm_id, f"{len(unknown)} blocks of {arm_id} do not say which ORT ran them"
        elif summary.latency is not None and not summary.executed:
            yield arm_id, f"no profile of {arm_id} shows operators that ORT executed"


def _threads(evidence: Evidence) -> Iterator[Hit]:
    for arm_id in evidence.arms:
        fewer = [
            browser
            for browser in _browsers(evidence.run, arm_id)
            if browser.threads_asked is not None
            and browser.threads_got is not None
            and browser.threads_got < browser.threads_asked
        ]
        if fewer:
            asked, got = fewer[0].threads_asked, fewer[0].threads_got
            yield arm_id, f"{arm_id} asked for {asked} threads and got {got}"


# ------------------------------------------------------------------------------ grade C


def _build(evidence: Evidence) -> Iterator[Hit]:
    if evidence.run.experiment.device.kind is DeviceKind.HOST:
        return
    builds = {
        result.runtime.app_build or "unknown"
        for result in _results(evidence.run)
        if result.runtime is not None
    }
    for build in sorted(builds - {"release"}):
        yield None, f"the app's build is {build}, not release"


def _debugger(evidence: Evidence) -> Iterator[Hit]:
    if any(r.runtime and r.runtime.debugger_attached for r in _results(evidence.run)):
        yield None, "a debugger was attached"


def _emulator(evidence: Evidence) -> Iterator[Hit]:
    if evidence.run.experiment.device.emulator:
        yield None, f"{evidence.run.experiment.device.name} is an emulator"


def _throttled(evidence: Evidence) -> Iterator[Hit]:
    blocks, total = 0, 0
    for block in latency_blocks(evidence.run):
        seen = [moment.thermal_status for moment in _moments(block) if moment.thermal_status]
        saving = any(moment.low_power_mode for moment in _moments(block))
        blocks += saving or any(status.lower() not in _COOL for status in seen)
        total += 1
    if blocks:
        yield None, f"the device throttled or saved power in {blocks} of {total} latency blocks"


def _few_rounds(evidence: Evidence) -> Iterator[Hit]:
    if evidence.rounds < FEWEST_ROUNDS:
        yield None, f"{evidence.rounds} complete rounds are fewer than {FEWEST_ROUNDS}"


def _shared_process(evidence: Evidence) -> Iterator[Hit]:
    for arm_id in evidence.arms:
        shared = [
            block
            for block in latency_blocks(evidence.run, arm_id)
            if block.result and block.result.runtime and block.result.runtime.shared_process
        ]
        if shared:
            yield arm_id, f"{len(shared)} blocks of {arm_id} shared a process with other blocks"


def _not_isolated(evidence: Evidence) -> Iterator[Hit]:
    coarse = [item for item in _browsers(evidence.run) if not item.cross_origin_isolated]
    if coarse:
        step_us = max(item.clock_step_ns for item in coarse) / 1000
        yield None, f"the page was not cross-origin isolated; its clock has steps of {step_us:g} µs"


def _software_adapter(evidence: Evidence) -> Iterator[Hit]:
    for arm_id in evidence.arms:
        found = [item for item in _browsers(evidence.run, arm_id) if item.adapter_is_fallback]
        if found:
            yield arm_id, f"WebGPU of {arm_id} ran on a software adapter ({found[0].adapter})"


def _in_background(evidence: Evidence) -> Iterator[Hit]:
    seen = list(_browsers(evidence.run))
    hidden = sum(not item.visible for item in seen)
    if hidden:
        yield None, f"the page was in the background in {hidden} of {len(seen)} latency blocks"


# ------------------------------------------------------------------------------ grade B


def _warm_up(evidence: Evidence) -> Iterator[Hit]:
    for arm_id, summary in evidence.arms.items():
        if summary.latency is None:
            continue
        missing = summary.latency.block_count - summary.latency.warm_up_converged_count
        if missing:
            share = f"{missing} of {summary.latency.block_count} blocks"
            yield arm_id, f"warm-up did not converge in {share} of {arm_id}"


def _battery(evidence: Evidence) -> Iterator[Hit]:
    levels = [
        moment.battery_percent
        for block in latency_blocks(evidence.run)
        for moment in _moments(block)
        if moment.battery_percent is not None and moment.charging is not True
    ]
    if levels and min(levels) < LOWEST_BATTERY_PERCENT:
        yield None, f"it ran on battery down to {min(levels):.0f} %"


def _floor(evidence: Evidence) -> Iterator[Hit]:
    if evidence.run.experiment.rule.floor is None:
        yield None, "the noise floor of this device is unknown (ortlab calibrate measures it)"


def _coarse_clock(evidence: Evidence) -> Iterator[Hit]:
    for arm_id, summary in evidence.arms.items():
        if summary.latency is None:
            continue
        step = max(
            block.result.clock.resolution_ns
            for block in latency_blocks(evidence.run, arm_id)
            if block.result is not None
        )
        if step > COARSE_SHARE * summary.latency.median_ns:
            seen = f"the clock's step of {step} ns is more than {COARSE_SHARE:.0%} of a run"
            yield arm_id, f"{seen} of {arm_id}"


def _frequency_scaling(evidence: Evidence) -> Iterator[Hit]:
    if evidence.run.experiment.device.kind not in _COMPUTERS:
        return
    moments = [m for block in latency_blocks(evidence.run) for m in _moments(block)]
    governors = sorted({m.cpu_governor for m in moments if m.cpu_governor} - {"performance"})
    if governors:
        yield None, f"the CPU frequency governor is {', '.join(governors)}, not performance"
    if any(m.cpu_governor for m in moments):
        return
    means = [
        sum(m.cpu_frequency_khz) / len(m.cpu_frequency_khz) for m in moments if m.cpu_frequency_khz
    ]
    if means and min(means) > 0 and max(means) / min(means) > 1 + FREQUENCY_SWING:
        low, high = min(means) / 1e6, max(means) / 1e6
        yield None, f"the CPU's mean frequency moved between {low:.2f} and {high:.2f} GHz"


def _busy_core(evidence: Evidence) -> Iterator[Hit]:
    device = evidence.run.experiment.device
    if device.kind not in _COMPUTERS:
        return
    blocks = list(latency_blocks(evidence.run))
    busy = [
        block
        for block in blocks
        if any(
            (m.busy_fraction or 0.0) * _core_count(device.cpu, m) >= BUSY_CORES
            for m in _moments(block)
        )
    ]
    if blocks and len(busy) >= BUSY_SHARE_OF_BLOCKS * len(blocks):
        share = f"{len(busy)} of {len(blocks)} latency blocks"
        yield None, f"other programs kept at least half a core busy around {share}"


# ------------------------------------------------------------------------------ the table

RULES: tuple[TrustRule, ...] = (
    TrustRule(
        name="virtual_device",
        grade=Grade.NONE,
        meaning="A virtual device says nothing about a phone.",
        applies=_virtual_device,
    ),
    TrustRule(
        name="parity_missing_or_failed",
        grade=Grade.NONE,
        meaning="A fast but wrong answer is no answer.",
        applies=_parity,
    ),
    TrustRule(
        name="replay_not_as_asked",
        grade=Grade.NONE,
        meaning="Another graph ran than the one that was asked for.",
        applies=_replay,
    ),
    TrustRule(
        name="samples_not_from_ort",
        grade=Grade.NONE,
        meaning="Nothing proves that ORT produced these samples.",
        applies=_not_from_ort,
    ),
    TrustRule(
        name="fewer_threads_than_asked",
        grade=Grade.NONE,
        meaning="Another number of threads ran than the one that was asked for.",
        applies=_threads,
    ),
    TrustRule(
        name="not_a_release_build",
        grade=Grade.C,
        meaning="A debuggable build runs slower, and not evenly so.",
        applies=_build,
    ),
    TrustRule(
        name="debugger_attached",
        grade=Grade.C,
        meaning="A debugger slows the process down.",
        applies=_debugger,
    ),
    TrustRule(
        name="emulator",
        grade=Grade.C,
        meaning="An emulator has another CPU than the phone it stands for.",
        applies=_emulator,
    ),
    TrustRule(
        name="throttled",
        grade=Grade.C,
        meaning="A device that slows itself down measures its cooling.",
        applies=_throttled,
    ),
    TrustRule(
        name="few_rounds",
        grade=Grade.C,
        meaning="Few rounds give wide intervals and hide a bad one.",
        applies=_few_rounds,
    ),
    TrustRule(
        name="shared_process",
        grade=Grade.C,
        meaning="Blocks in one process are not independent; they support no verdict.",
        applies=_shared_process,
    ),
    TrustRule(
        name="not_isolated",
        grade=Grade.C,
        meaning="Without isolation a browser offers no threads and only a coarse clock.",
        applies=_not_isolated,
    ),
    TrustRule(
        name="software_adapter",
        grade=Grade.C,
        meaning="A graphics processor played in software says nothing of a real one.",
        applies=_software_adapter,
    ),
    TrustRule(
        name="page_in_background",
        grade=Grade.C,
        meaning="Browsers slow down what nobody sees.",
        applies=_in_background,
    ),
    TrustRule(
        name="warm_up_not_converged",
        grade=Grade.B,
        meaning="Latency was still changing when measuring began.",
        applies=_warm_up,
    ),
    TrustRule(
        name="low_battery",
        grade=Grade.B,
        meaning="Below 30 % many phones save power.",
        applies=_battery,
    ),
    TrustRule(
        name="floor_unknown",
        grade=Grade.B,
        meaning="Without a noise floor a small difference may be the device's own.",
        applies=_floor,
    ),
    TrustRule(
        name="coarse_clock",
        grade=Grade.B,
        meaning="The clock's step is a visible part of the latency.",
        applies=_coarse_clock,
    ),
    TrustRule(
        name="frequency_scaling",
        grade=Grade.B,
        meaning="The CPU changes its speed with the load.",
        applies=_frequency_scaling,
    ),
    TrustRule(
        name="busy_core",
        grade=Grade.B,
        meaning="Other programs competed for the CPU.",
        applies=_busy_core,
    ),
)


def find_trust_findings(evidence: Evidence) -> tuple[TrustFinding, ...]:
    """Return a finding for each place where a rule applies, in the order of the table."""
    return tuple(
        TrustFinding(
            rule=rule.name,
            grade=rule.grade,
            sentence=f"{seen[:1].upper()}{seen[1:]}. {rule.meaning}",
            arm_id=arm_id,
        )
        for rule in RULES
        for arm_id, seen in rule.applies(evidence)
    )


def takes_verdict(finding: TrustFinding) -> bool:
    """Return whether a finding leaves nothing that may be claimed of what it concerns."""
    return finding.grade is Grade.NONE or finding.rule in _WITHOUT_VERDICT


def lowest_grade(findings: tuple[TrustFinding, ...]) -> Grade:
    """Return the lowest grade of the findings, A when there are none."""
    return max((finding.grade for finding in findings), key=_ORDER.index, default=Grade.A)


# ------------------------------------------------------------------------------ looking at runs


def latency_blocks(run: Run, arm_id: str | None = None) -> Iterator[Block]:
    """Yield the latency blocks that succeeded, of one arm or of all."""
    for block in run.blocks:
        succeeded = block.purpose is Purpose.LATENCY and block.outcome is Outcome.OK
        if succeeded and arm_id in (None, block.arm_id):
            yield block


def _results(run: Run) -> Iterator[BlockResult]:
    for block in run.blocks:
        if block.result is not None:
            yield block.result


def _browsers(run: Run, arm_id: str | None = None) -> Iterator[BrowserFacts]:
    for block in latency_blocks(run, arm_id):
        if block.result is not None and block.result.browser is not None:
            yield block.result.browser


def _moments(block: Block) -> Iterator[Conditions]:
    if block.result is not None:
        for moment in (block.result.conditions_before, block.result.conditions_after):
            if moment is not None:
                yield moment


def _core_count(cpu: str, moment: Conditions) -> int:
    """Count cores from their frequencies, else from the device's own words."""
    if moment.cpu_frequency_khz:
        return len(moment.cpu_frequency_khz)
    words = re.search(r"(\d+)\s*(?:logical\s+)?(?:cores?|cpus?|threads?)\b", cpu, re.IGNORECASE)
    return int(words.group(1)) if words else 1
