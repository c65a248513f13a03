"""A seeded share of the broken models; all of them: `make fuzz`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FUZZING = Path(__file__).parents[1] / "fuzzing.py"


def test_broken_models_are_refused_in_words(seed: int) -> None:
    # A process of its own: the largest child of this one may be another test's.
    arguments = [sys.executable, str(FUZZING), "--count", "84", "--seed", str(seed)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "84 files" in done.stdout
    assert "prepare 3" in done.stdout
    assert "PROBLEM" not in done.stdout
