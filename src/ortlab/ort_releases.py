"""What each ONNX Runtime release reads, and whether it replays saved optimizations.

`ort_releases.json` beside this module is the measured table: full x86-64 Linux wheels, CPU
provider, the newest patch of each minor release; `scripts/make_release_table.py` makes it from the
measured matrix in `tests/data/ort_formats/`. Answers follow from what stands in a file and from
the table. Releases after the newest measured one are expected to do what that one does. Minimal
and mobile builds were not measured.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Final

from ortlab.domain import Basis, ReleaseVerdict, Replay, ReplayAnswer
from ortlab.errors import UsageError
from ortlab.wire import GraphOptimizationLevel

REPLAY_KEY: Final = "session.enable_saved_runtime_optimizations"

_FIRST_REPLAYING = (1, 11)
_RELEASE = re.compile(r"(\d{1,4})\.(\d{1,4})(?:[.+\-a-z].*)?", re.DOTALL)


class ModelKind(StrEnum):
    """The two kinds of model files."""

    ONNX = "onnx"
    ORT = "ort"


class ReplayBehavior(StrEnum):
    """What a release does with saved optimizations in a format that it reads."""

    DEFAULT = "default"
    KEY = "key"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatFacts:
    """What decides whether a release loads a file and replays its saved optimizations.

    Attributes:
        kind: `.onnx` or `.ort`.
        ir_version: ONNX IR version.
        opsets: Domain to version; the default domain is ``ai.onnx``.
        operators: ``domain:Operator:since_version`` of the nodes, subgraphs included; since
            version 0 where unknown.
        format_version: Of the ORT format, 1 to 6; None for `.onnx`.
        saved_optimizations: Optimizer to number of saved records.
        contradictions: Saved records that cannot be replayed, in sentences.
    """

    kind: ModelKind
    ir_version: int
    opsets: Mapping[str, int]
    operators: frozenset[str]
    format_version: int | None = None
    saved_optimizations: Mapping[str, int] = field(default_factory=dict)
    contradictions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A row of the measured table.

    Attributes:
        release: Such as ``1.13``.
        version: The patch release that was measured.
        max_opset: Highest ``ai.onnx`` opset it accepts.
        max_ir_version: Highest IR version it accepts in `.onnx`.
        domain_versions: Highest opset of the other domains it knows.
        missing_kernels: Operators it accepts without having them, as in
            :class:`FormatFacts`.
        reads_formats: ORT format versions it reads.
        fails_at_level_all: Formats of these that it loads only below level ALL.
        replay: By ORT format version, for formats that can hold saved optimizations.
    """

    release: str
    version: str
    max_opset: int
    max_ir_version: int
    domain_versions: Mapping[str, int]
    missing_kernels: tuple[str, ...]
    reads_formats: tuple[int, ...]
    fails_at_level_all: tuple[int, ...]
    replay: Mapping[int, ReplayBehavior]


@cache
def measured_releases() -> tuple[Release, ...]:
    """Return the measured table, oldest release first."""
    text = resources.files("ortlab").joinpath("ort_releases.json").read_text("utf-8")
    return tuple(
        Release(
            release=row["release"],
            version=row["version"],
            max_opset=row["max_opset"],
            max_ir_version=row["max_ir_version"],
            domain_versions=row["domain_versions"],
            missing_kernels=tuple(row["missing_kernels"]),
            reads_formats=tuple(row["reads_formats"]),
            fails_at_level_all=tuple(row["fails_at_level_all"]),
            replay={int(key): ReplayBehavior(value) for key, value in row["replay"].items()},
        )
        for row in json.loads(text)["releases"]
    )


def newest_measured_release() -> str:
    """Return the newest release of the table, such as ``1.31``."""
    return measured_releases()[-1].release


def parse_release(text: str) -> tuple[int, int]:
    """Return major and minor number of a version such as ``1.31.1`` or a release such as ``1.31``.

    Raises:
        UsageError: It is no version.
    """
    match = _RELEASE.fullmatch(text.strip())
    if match is None:
        message = f"cannot read {text!r} as an ORT release; one looks like 1.31 or 1.31.1"
        raise UsageError(message)
    return int(match[1]), int(match[2])


def release_verdicts(
    facts: FormatFacts, releases: Sequence[str] = ()
) -> tuple[ReleaseVerdict, ...]:
    """Tell what ORT releases make of a file.

    Args:
        facts: What stands in the file.
        releases: Releases or versions to answer for, in this order; all measured ones when empty.

    Returns:
        One verdict a release. Releases after the newest measured one are marked as expected.

    Raises:
        UsageError: A release is no version, or older than the measured ones.
    """
    if not releases:
        return tuple(
            _verdict(row, facts, row.release, Basis.MEASURED) for row in measured_releases()
        )
    found = [_row(release) for release in releases]
    return tuple(_verdict(row, facts, name, basis) for row, name, basis in found)


def _row(release: str) -> tuple[Release, str, Basis]:
    """Return the row that answers for a release, the release's name, and the basis."""
    number = parse_release(release)
    name = f"{number[0]}.{number[1]}"
    table = measured_releases()
    for row in table:
        if row.release == name:
            return row, name, Basis.MEASURED
    if number < parse_release(table[0].release):
        message = (
            f"cannot answer for ORT {release}: the oldest measured release is {table[0].release}"
        )
        raise UsageError(message)
    older = [row for row in table if parse_release(row.release) < number]
    return older[-1], name, Basis.EXPECTED


def _verdict(row: Release, facts: FormatFacts, name: str, basis: Basis) -> ReleaseVerdict:
    reason = _obstacle(row, facts)
    loads = not reason
    if not facts.saved_optimizations:
        replay = ReplayAnswer.NONE_SAVED
    elif reason:
        replay = ReplayAnswer.NOT_LOADED
    else:
        loads, replay, reason = _replay(row, facts)
    return ReleaseVerdict(release=name, loads=loads, replay=replay, reason=reason, basis=basis)


def _obstacle(row: Release, facts: FormatFacts) -> str:
    """Return why the release does not load the file whatever becomes of saved optimizations."""
    if facts.format_version is not None:
        if facts.format_version not in row.reads_formats:
            return (
                f"ORT format version {facts.format_version} is not supported; this release reads "
                f"{_ranges(row.reads_formats)}"
            )
        if facts.format_version in row.fails_at_level_all:
            return (
                "at graph optimization level ALL, the default, this release does not find the "
                f"nodes of a format {facts.format_version} file; level EXTENDED loads it"
            )
    elif facts.ir_version > row.max_ir_version:
        return f"IR version {facts.ir_version} is above this release's {row.max_ir_version}"
    return _opset_obstacle(row, facts) or _kernel_obstacle(row, facts)


def _opset_obstacle(row: Release, facts: FormatFacts) -> str:
    """Return which opset is too new.

    An `.ort` file is held only to the domains its nodes come from: it lists all domains its
    converter knew, and the IR version in it is not checked.
    """
    limits = {**row.domain_versions, "ai.onnx": row.max_opset}
    used = {operator.partition(":")[0] for operator in facts.operators}
    for domain, version in sorted(facts.opsets.items()):
        limit = limits.get(domain)
        held = facts.kind is ModelKind.ONNX or domain in used
        if held and limit is not None and version > limit:
            return f"opset {version} of {domain} is above this release's {limit}"
    return ""


def _kernel_obstacle(row: Release, facts: FormatFacts) -> str:
    missing = sorted(facts.operators.intersection(row.missing_kernels))
    if not missing:
        return ""
    _, operator, version = missing[0].split(":")
    return f"this release accepts the opset but has no kernel for {operator}({version})"


def _replay(row: Release, facts: FormatFacts) -> tuple[bool, ReplayAnswer, str]:
    """Return whether the file loads, whether saved optimizations apply, and why not."""
    behavior = row.replay.get(facts.format_version or 0, ReplayBehavior.IGNORED)
    if behavior is ReplayBehavior.IGNORED:
        if parse_release(row.release) < _FIRST_REPLAYING:
            return True, ReplayAnswer.IGNORED, "this release cannot replay; it says nothing"
        reason = (
            f"this release ignores saved optimizations of format {facts.format_version} files, "
            "with a warning"
        )
        return True, ReplayAnswer.IGNORED, reason
    if facts.contradictions:
        if behavior is ReplayBehavior.DEFAULT:
            reason = f"replay, which is always on, breaks the model: {facts.contradictions[0]}"
            return False, ReplayAnswer.FAILS, f"{reason}; level BASIC loads it without replay"
        reason = f"it loads without replay; with {REPLAY_KEY}=1, replay breaks the model"
        return True, ReplayAnswer.FAILS, f"{reason}: {facts.contradictions[0]}"
    if behavior is ReplayBehavior.KEY:
        reason = f"replay is off by default and needs {REPLAY_KEY}=1; without it nothing is said"
        return True, ReplayAnswer.WITH_KEY, reason
    return True, ReplayAnswer.BY_DEFAULT, ""


def _ranges(formats: Sequence[int]) -> str:
    """Return format numbers for people: ``4``, or ``1 to 6``."""
    return str(formats[0]) if len(formats) == 1 else f"{formats[0]} to {formats[-1]}"


# ---------------------------------------------------------------------------------- replay


def replay_settings(
    ort_version: str, replay: Replay, level: GraphOptimizationLevel
) -> tuple[GraphOptimizationLevel, dict[str, str]]:
    """Return the session settings that turn replay on or off in a release, or leave it alone.

    The key of 1.30 and later does nothing before; there the level alone decides. Off is level
    BASIC everywhere, so that both arms of a comparison mean the same in every release.

    Args:
        ort_version: Of the runtime, such as ``1.31.1``.
        replay: What is wanted.
        level: Graph optimization level asked for.

    Returns:
        The level to use and session config entries to add.

    Raises:
        UsageError: The release, or the level, cannot do it.
    """
    if replay is Replay.DEFAULT:
        return level, {}
    if replay is Replay.OFF:
        low = level in {GraphOptimizationLevel.DISABLED, GraphOptimizationLevel.BASIC}
        return (level if low else GraphOptimizationLevel.BASIC), {REPLAY_KEY: "0"}
    if parse_release(ort_version) < _FIRST_REPLAYING:
        message = (
            f"cannot turn replay on with ORT {ort_version}: saved runtime optimizations are "
            "replayed from 1.11 on"
        )
        raise UsageError(message, next_step="use --replay default or a newer runtime")
    if level in {GraphOptimizationLevel.DISABLED, GraphOptimizationLevel.BASIC}:
        message = f"cannot turn replay on at level {level}: replay needs level extended or all"
        raise UsageError(message, next_step="use --level extended or --level all")
    return level, {REPLAY_KEY: "1"}


def expected_replay(ort_version: str, replay: Replay) -> bool:
    """Return whether a release should apply the saved optimizations of its own era's files.

    Args:
        ort_version: Of the runtime.
        replay: As given to :func:`replay_settings`, at level EXTENDED or above for DEFAULT.

    Raises:
        UsageError: The version cannot be read.
    """
    if replay is Replay.OFF:
        return False
    number = parse_release(ort_version)
    if number < _FIRST_REPLAYING:
        return False
    if replay is Replay.ON:
        return True
    older = [row for row in measured_releases() if parse_release(row.release) <= number]
    newest_format = max(older[-1].replay)
    return older[-1].replay[newest_format] is ReplayBehavior.DEFAULT
