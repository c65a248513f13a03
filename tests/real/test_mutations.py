"""A seeded share of the broken models; all of them: `make fuzz`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from fuzzing import DATA, ORIGINALS, Tally, fuzz
from mutations import mutants


def test_broken_models_are_refused_in_words(seed: int) -> None:
    tally = Tally()
    files = mutants([DATA / name for name in ORIGINALS], 84, seed)
    for start in range(0, len(files), 42):
        fuzz(files[start : start + 42], tally)
    assert not tally.problems
    assert sum(tally.outcomes.values()) >= 84
    assert tally.reached_ort >= 0.3 * len(files)
    assert tally.outcomes["prepare 3"] > 10
