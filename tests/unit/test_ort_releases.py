"""The measured table, and the answers that follow from it."""

from __future__ import annotations

import importlib.util
import json
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortlab.domain import Basis, ReleaseVerdict, Replay, ReplayAnswer
from ortlab.errors import UsageError
from ortlab.ort_releases import (
    REPLAY_KEY,
    FormatFacts,
    ModelKind,
    expected_replay,
    measured_releases,
    newest_measured_release,
    parse_release,
    release_verdicts,
    replay_settings,
)
from ortlab.prepare.inspection import inspect_file
from ortlab.wire import GraphOptimizationLevel as Level

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data" / "ort_formats"
MATRIX: dict[str, Any] = json.loads((DATA / "matrix.json").read_text())
RUNTIMES = [row["version"] for row in MATRIX["runtimes"]]
FILES = {file["name"]: (at, file) for at, file in enumerate(MATRIX["files"])}

ORT_FACTS = FormatFacts(
    kind=ModelKind.ORT,
    ir_version=8,
    opsets={"ai.onnx": 13},
    operators=frozenset({"ai.onnx:Relu:13"}),
    format_version=6,
)


@cache
def verdicts_of(name: str) -> dict[str, ReleaseVerdict]:
    verdicts = inspect_file(DATA / name).releases
    assert [verdict.release for verdict in verdicts] == [
        ".".join(version.split(".")[:2]) for version in RUNTIMES
    ]
    return dict(zip(RUNTIMES, verdicts, strict=True))


def executed(version: str, name: str) -> dict[str, int | None] | None:
    """Fused nodes executed in each replay mode, None where the session fails."""
    file = FILES[name][1]
    for group in MATRIX["executed"]:
        if version not in group["runtimes"]:
            continue
        for result in group["results"]:
            key = (result["model"], result["style"])
            if key == (file["model"], file["style"]) and file["made_by"] in result["made_by"]:
                counts = [None if count is None else sum(count) for count in result["counts"]]
                return dict(zip(MATRIX["replay_modes"], counts, strict=True))
    return None


def observed_replay(version: str, name: str) -> ReplayAnswer:
    """What the executed operators say, in our words."""
    file = FILES[name][1]
    if not file["runtime_optimizations"]:
        return ReplayAnswer.NONE_SAVED
    counts = executed(version, name)
    if counts is None:
        return ReplayAnswer.NOT_LOADED
    if counts["default"] is None or counts["key=1"] is None:
        return ReplayAnswer.FAILS
    if counts["default"]:
        return ReplayAnswer.BY_DEFAULT
    return ReplayAnswer.WITH_KEY if counts["key=1"] else ReplayAnswer.IGNORED


def test_the_matrix_covers_what_it_is_said_to() -> None:
    assert len(RUNTIMES) == 27
    assert len(FILES) == 65
    assert {observed_replay(v, f) for v in RUNTIMES for f in FILES} == set(ReplayAnswer)


@pytest.mark.parametrize("name", FILES)
def test_verdicts_are_what_was_measured(name: str) -> None:
    at = FILES[name][0]
    for version, verdict in verdicts_of(name).items():
        measured = bool(MATRIX["loads"][version][at])
        assert (version, verdict.loads) == (version, measured)
        assert (version, verdict.replay) == (version, observed_replay(version, name))
        assert verdict.basis is Basis.MEASURED
        good = {ReplayAnswer.NONE_SAVED, ReplayAnswer.BY_DEFAULT}
        assert bool(verdict.reason) != (verdict.loads and verdict.replay in good)


@pytest.mark.parametrize("model", ["small", "small_qdq"])
def test_onnx_verdicts_are_what_was_measured(model: str) -> None:
    verdicts = verdicts_of(f"{model}.onnx")
    for row in MATRIX["runtimes"]:
        verdict = verdicts[row["version"]]
        assert (row["version"], verdict.loads) == (row["version"], model in row["runs_onnx"])
        assert verdict.replay is ReplayAnswer.NONE_SAVED


@pytest.mark.parametrize("operator", ["Abs", "Identity"])
@pytest.mark.parametrize("version", RUNTIMES)
def test_opset_limits_are_what_was_measured(operator: str, version: str) -> None:
    measured = MATRIX["max_opset"][version][operator]["accepted"]
    since = {"Abs": (1, 6, 13), "Identity": (1, 13, 14, 16, 19, 21, 23, 24, 25)}[operator]
    for opset in range(7, 30):
        defined = max(number for number in since if number <= opset)
        facts = FormatFacts(
            kind=ModelKind.ONNX,
            ir_version=6,
            opsets={"ai.onnx": opset},
            operators=frozenset({f"ai.onnx:{operator}:{defined}"}),
        )
        (verdict,) = release_verdicts(facts, [version])
        assert (opset, verdict.loads) == (opset, opset <= measured)


@pytest.mark.parametrize("version", RUNTIMES)
def test_ir_limits_are_what_was_measured(version: str) -> None:
    measured = MATRIX["max_ir"][version]["accepted"]
    for ir_version in range(3, 21):
        facts = FormatFacts(
            kind=ModelKind.ONNX,
            ir_version=ir_version,
            opsets={"ai.onnx": 11},
            operators=frozenset({"ai.onnx:Abs:6"}),
        )
        (verdict,) = release_verdicts(facts, [version])
        assert (ir_version, verdict.loads) == (ir_version, ir_version <= measured)


def test_table_is_what_the_script_makes() -> None:
    path = ROOT / "scripts" / "make_release_table.py"
    spec = importlib.util.spec_from_file_location("make_release_table", path)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    table = ROOT / "src" / "ortlab" / "ort_releases.json"
    assert script.make_table() == table.read_text()


def test_an_answer_needs_neither_name_nor_bytes_of_a_known_file(tmp_path: Path) -> None:
    original = DATA / "small.runtime.ort-1.12.1.ort"
    renamed = tmp_path / "model.ort"
    renamed.write_bytes(original.read_bytes() + b"\0" * 8)
    assert inspect_file(renamed).releases == inspect_file(original).releases


def test_later_releases_are_expected_to_do_what_the_newest_does() -> None:
    facts = inspect_file(DATA / "small.runtime.ort-1.31.1.ort", releases=("1.31", "1.47.2"))
    newest, later = facts.releases
    assert (newest.basis, later.basis) == (Basis.MEASURED, Basis.EXPECTED)
    assert later.release == "1.47"
    assert (later.loads, later.replay, later.reason) == (
        newest.loads,
        newest.replay,
        newest.reason,
    )


def test_releases_are_answered_in_the_order_asked() -> None:
    verdicts = release_verdicts(ORT_FACTS, ["1.20.1", "1.15"])
    assert [(each.release, each.loads) for each in verdicts] == [("1.20", True), ("1.15", False)]


@pytest.mark.parametrize("release", ["1.4", "0.9.1", "newest", "", "1", "1.x", "-1.3", "1..3"])
def test_unknown_releases_are_refused(release: str) -> None:
    with pytest.raises(UsageError):
        release_verdicts(ORT_FACTS, [release])


def test_ir_version_of_an_ort_file_is_not_held_against_it() -> None:
    facts = FormatFacts(
        kind=ModelKind.ORT,
        ir_version=99,
        opsets={"ai.onnx": 13, "ai.onnx.ml": 99},
        operators=frozenset({"ai.onnx:Relu:13"}),
        format_version=6,
    )
    assert all(each.loads for each in release_verdicts(facts, ["1.16", "1.31"]))


def test_opset_of_an_ort_file_is_held_against_it() -> None:
    facts = FormatFacts(
        kind=ModelKind.ORT,
        ir_version=8,
        opsets={"ai.onnx": 20},
        operators=frozenset({"ai.onnx:Relu:14"}),
        format_version=6,
    )
    older, newer = release_verdicts(facts, ["1.16", "1.17"])
    assert (older.loads, newer.loads) == (False, True)
    assert "opset 20 of ai.onnx" in older.reason


def test_opsets_of_other_domains_have_limits_too() -> None:
    facts = FormatFacts(
        kind=ModelKind.ONNX,
        ir_version=6,
        opsets={"ai.onnx": 11, "ai.onnx.ml": 4, "my.own": 99},
        operators=frozenset({"ai.onnx.ml:Scaler:1"}),
    )
    loading = [each.release for each in release_verdicts(facts) if each.loads]
    assert loading[0] == "1.17"


# ---------------------------------------------------------------------------------- settings


def test_replay_settings_give_the_replay_that_was_measured() -> None:
    """The level and key we set are among the measured modes; the fused nodes must be as asked."""
    name = "small.runtime.ort-1.31.1.ort"
    checked = 0
    for version in RUNTIMES:
        counts = executed(version, name)
        if counts is None:
            continue
        for replay in Replay:
            level, entries = replay_settings(version, replay, Level.ALL)
            if level is Level.BASIC:
                mode = "key=1,level=basic"  # BASIC wins even over the key
            else:
                mode = {"1": "key=1", "0": "key=0", None: "default"}[entries.get(REPLAY_KEY)]
            assert bool(counts[mode]) == expected_replay(version, replay), (version, replay)
            checked += 1
    assert checked == 3 * 16


@pytest.mark.parametrize("version", ["1.8.1", "1.10.0"])
def test_replay_cannot_be_turned_on_before_it_existed(version: str) -> None:
    with pytest.raises(UsageError, match=r"1\.11"):
        replay_settings(version, Replay.ON, Level.ALL)
    assert replay_settings(version, Replay.DEFAULT, Level.ALL) == (Level.ALL, {})
    assert not expected_replay(version, Replay.DEFAULT)


@pytest.mark.parametrize("level", [Level.DISABLED, Level.BASIC])
def test_replay_needs_a_level_that_replays(level: Level) -> None:
    with pytest.raises(UsageError, match="level"):
        replay_settings("1.31.1", Replay.ON, level)
    assert replay_settings("1.31.1", Replay.OFF, level)[0] is level


def test_default_replay_ended_with_1_30() -> None:
    assert expected_replay("1.29.0", Replay.DEFAULT)
    assert not expected_replay("1.30.0", Replay.DEFAULT)
    assert not expected_replay("2.0", Replay.DEFAULT)


def test_newest_measured_release_is_the_last_row() -> None:
    rows = measured_releases()
    numbers = [parse_release(row.release) for row in rows]
    assert numbers == sorted(numbers)
    assert newest_measured_release() == rows[-1].release == "1.31"


@given(major=st.integers(0, 9), minor=st.integers(0, 99), rest=st.sampled_from(("", ".1", "-rc1")))
def test_versions_are_read(major: int, minor: int, rest: str) -> None:
    assert parse_release(f"{major}.{minor}{rest}") == (major, minor)


@given(st.text(max_size=12))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(UsageError):
        assert min(parse_release(text)) >= 0
