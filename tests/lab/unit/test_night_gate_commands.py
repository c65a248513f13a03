"""`ortlab lab gate` and `ortlab lab history` as people type them: pairs, words, answers."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "unit"))

import simulated

from device_lab.night_plan import pair_up
from device_lab.store import LabStore
from device_lab.values import CellResult, Comparison, JobSpec, Outcome
from ortlab.cli import run
from ortlab.errors import UsageError
from ortlab.prepare.manifest import write_manifest

NOW = datetime(2026, 11, 1, 23, tzinfo=UTC)
HOSTILE = "<b>\x1b[31m\u202enet"


def prepare(*directories: Path) -> None:
    for directory in directories:
        directory.mkdir(parents=True)
        write_manifest(replace(simulated.make_prepared(), name=str(directory)), directory)


def pairs(new: list[str], against: list[str]) -> list[tuple[str, str]]:
    return [(Path(pair.new).name, Path(pair.base).name) for pair in pair_up(new, against)]


# ---------------------------------------------------------------- pairs


def test_directories_are_matched_by_name(tmp_path: Path) -> None:
    prepare(*(tmp_path / side / name for side in ("new", "base") for name in ("a", "b")))
    prepare(tmp_path / "base" / "dropped")
    found = pair_up([str(tmp_path / "new")], [str(tmp_path / "base")])
    assert [(pair.new, pair.base) for pair in found] == [
        (str(tmp_path / "new" / name), str(tmp_path / "base" / name)) for name in ("a", "b")
    ]


def test_single_models_are_matched_whatever_they_are_called(tmp_path: Path) -> None:
    prepare(tmp_path / "new", tmp_path / "outer" / "base", tmp_path / "c", tmp_path / "d")
    sides = [str(tmp_path / "new"), str(tmp_path / "c")], [str(tmp_path / "outer"), str(tmp_path)]
    assert pairs(sides[0], [sides[1][0], str(tmp_path / "d")]) == [("new", "base"), ("c", "d")]


def test_one_release_is_the_base_of_all(tmp_path: Path) -> None:
    prepare(tmp_path / "a", tmp_path / "b")
    found = pair_up([str(tmp_path / "a"), str(tmp_path / "b")], ["onnxruntime==1.20.0"])
    assert [pair.base for pair in found] == ["onnxruntime==1.20.0"] * 2
    assert found[0].digest != found[1].digest


def test_another_content_has_another_digest(tmp_path: Path) -> None:
    prepare(tmp_path / "a", tmp_path / "b")
    sides = [str(tmp_path / "a")], [str(tmp_path / "b")]
    (before,) = pair_up(*sides)
    assert pair_up(*sides) == (before,)
    write_manifest(replace(simulated.make_prepared(), name="retrained"), tmp_path / "b")
    assert pair_up(*sides)[0].digest != before.digest


@pytest.mark.parametrize(
    ("new", "against", "why"),
    [
        (["a", "b"], ["a"], "each needs its base"),
        (["a"], ["a"], "with itself"),
        (["a", "a"], ["b", "b"], "named twice"),
        (["nothing"], ["a"], "no manifest"),
        (["many"], ["a"], "there is no x, y in it"),
    ],
)
def test_what_does_not_match_up_is_refused(
    tmp_path: Path, new: list[str], against: list[str], why: str
) -> None:
    prepare(*(tmp_path / name for name in ("a", "b", "many/x", "many/y")))
    with pytest.raises(UsageError, match=why):
        pair_up([str(tmp_path / name) for name in new], [str(tmp_path / one) for one in against])


# ---------------------------------------------------------------- words


@pytest.mark.parametrize(
    "words",
    [
        ("--max-slowdown", "2"),
        ("--threads", "0"),
        ("--style", "nonsense"),
        ("--platform", "toaster"),
        ("--min-os", "thirteen"),
        ("--rounds", "4"),
        ("--name", " "),
        ("--name", "a\nb"),
    ],
)
def test_words_that_mean_nothing_are_refused_before_anything_is_asked_of_the_lab(
    tmp_path: Path, words: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(tmp_path / "a", tmp_path / "b")
    store = f"sqlite:///{tmp_path / 'lab.db'}"
    command = ("lab", "gate", str(tmp_path / "a"), "--against", str(tmp_path / "b"))
    assert run([*command, "--store", store, *words]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert not (tmp_path / "lab.db").exists()


# ---------------------------------------------------------------- the history


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    """Return a store with seven nights of one model, of which the last three are slower."""
    url = f"sqlite:///{tmp_path / 'lab.db'}"
    store = LabStore(url)
    for number in range(7):
        now = NOW + timedelta(days=number)
        store.submit(JobSpec(name=f"night {number}", models=("/models/reader",)), now)
        store.see_phones("host-1", [_phone(now)], now)
        lease = store.claim("player", "p1", now)
        assert lease is not None
        effect = 0.002 * (-1) ** number + 0.05 * (number > 3)
        cell = store.cell(lease.cell_id)
        result = _result(cell.cell_id, cell.job_id, effect, now)
        store.finish(lease, Outcome.DONE, now, result=result)
    store.close()
    return url


def _phone(now: datetime) -> Any:
    from test_planning import make_phone

    return make_phone("p1", seen_at=now)


def _result(cell_id: str, job_id: str, effect: float, now: datetime) -> CellResult:
    comparison = Comparison(
        arm=".onnx",
        baseline="base: .onnx",
        ratio=1.0,
        low=0.9,
        high=1.1,
        verdict="inconclusive",
        sentence="",
        log_ratios=(effect - 0.01, effect + 0.01),
    )
    return CellResult(
        cell_id=cell_id,
        job_id=job_id,
        model="/models/reader",
        model_name="reader",
        phone_id="p1",
        phone_name=HOSTILE,
        virtual=False,
        finished_at=now,
        control="c" * 64,
        control_label="base: .onnx",
        trust="A",
        comparisons=(comparison,),
        sentences=(),
    )


def test_a_history_is_a_table_that_fits_and_obeys_no_name(
    store_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["lab", "history", "reader", "--store", store_url]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    assert "\x1b[31m" not in shown
    assert "\u202e" not in shown
    rows = {line.split()[0]: line for line in shown.splitlines() if line.strip()}
    assert "no band yet" in rows["2026-11-03"]
    assert "inside" in rows["2026-11-04"]
    assert "slower" in rows["2026-11-05"]


def test_periods_are_compared_with_nights_as_units(
    store_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["lab", "history", "reader", "--store", store_url, "--json"]
    earlier, later = ("--earlier", "2026-11-01..2026-11-04"), ("--later", "2026-11-05..2026-11-07")
    assert run([*command, *earlier, *later]) == 0
    answer = json.loads(capsys.readouterr().out)
    (period,) = answer["periods"]
    assert period["effect"]["low"] > 1
    assert "4 and 3 nights" in period["sentence"]
    (history,) = answer["histories"]
    assert len(history["segments"][0]["nights"]) == 7
    assert run([*command, *earlier]) == 2
    assert run([*command, "--earlier", "yesterday", *later]) == 2
    assert run([*command, "--zone", "../../etc/passwd"]) == 2


def test_a_model_without_results_is_told(
    store_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["lab", "history", "reader", "--phone", "p9", "--store", store_url]) == 2
    assert "no result" in capsys.readouterr().err
