"""Which command lines start a worker ahead."""

from __future__ import annotations

from pathlib import Path

import pytest

from ortlab.prepare import warm


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["prepare", "m.onnx"], True),
        (["prepare", "m.onnx", "-o", "new"], True),
        (["prepare", "m.onnx", "--output=new"], True),
        (["prepare", "m.onnx", "-o", "old"], False),
        (["prepare", "m.onnx", "--output", "old"], False),
        (["prepare", "m.onnx", "--output=old"], False),
        (["prepare", "--help"], False),
        (["prepare", "-h"], False),
        (["inspect", "m.onnx"], False),
        (["-v", "prepare"], False),
        ([], False),
    ],
)
def test_only_a_fresh_preparation_starts_a_worker(
    arguments: list[str], *, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("old").mkdir()
    started: list[bool] = []
    monkeypatch.setattr(warm, "start", lambda: started.append(True))
    warm.start_for(arguments)
    assert bool(started) is expected


def test_nobody_waits_unless_one_was_started() -> None:
    assert warm.take() is None
