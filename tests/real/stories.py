"""What the stories of phones share: the command line as a user runs it, and what a run recorded."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from ortlab.process import Command, Completed, SystemProcesses

PURPOSES = {"parity", "profile", "latency", "memory", "cold_start"}
DEADLINE_S = 400.0


def ortlab(directory: Path, *arguments: str) -> Completed:
    """Run a command in a directory, with a state of its own."""
    return SystemProcesses().run(
        Command(
            arguments=(sys.executable, "-m", "ortlab", *arguments),
            working_directory=directory,
            environment={"XDG_STATE_HOME": str(directory / "state")},
            deadline_s=DEADLINE_S,
        )
    )


def answer_of(directory: Path, *arguments: str) -> dict[str, Any]:
    """Run a command that answers in JSON."""
    done = ortlab(directory, *arguments, "--json")
    assert done.succeeded, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def runs_of(answer: dict[str, Any]) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Return the experiment and the blocks of each run."""
    found = []
    for run in answer["runs"]:
        directory = Path(run["directory"])
        experiment = json.loads((directory / "experiment.json").read_text())
        lines = (directory / "blocks.jsonl").read_text().splitlines()
        found.append((experiment, [json.loads(line) for line in lines]))
    return found


def check_measured_at_once(answer: dict[str, Any]) -> None:
    """Every block of every purpose succeeded, and no phone waited for the other."""
    runs = runs_of(answer)
    assert answer["failures"] == {}
    for experiment, blocks in runs:
        assert {block["outcome"] for block in blocks} == {"ok"}
        assert {block["purpose"] for block in blocks} == PURPOSES
        assert len(experiment["arms"]) >= 2
    spans = [[block["started_at"] for block in blocks] for _, blocks in runs]
    assert max(min(span) for span in spans) < min(max(span) for span in spans), "one after another"


def check_computed(blocks: list[dict[str, Any]], language: str) -> None:
    """The blocks are a program's in this language, and hold what it measured."""
    assert {b["result"]["runtime"]["language"] for b in blocks} == {language}
    for block in blocks:
        if block["purpose"] == "parity":
            assert block["parity"]["status"] == "passed"
        if block["purpose"] == "profile":
            assert sum(item["count"] for item in block["executed"]) > 0
        if block["purpose"] == "latency":
            assert len(block["result"]["timing"]["measured_ns"]) >= 5
        if block["purpose"] == "memory":
            phases = {point["phase"] for point in block["result"]["memory"]}
            assert {"baseline", "loaded", "first_run", "end", "closed"} <= phases


def check_says_virtual(run: dict[str, Any]) -> None:
    """The report says so, shows placement and memory, and claims nothing."""
    page = Path(run["report"]["html"]).read_text()
    assert run["virtual"] is True
    assert "virtual" in page.lower()
    assert "VmHWM" in page or "Peak" in page
    assert "CPUExecutionProvider" in page or "CPU" in page
    assert run["analysis"]["grade"] == "none"
    assert {c["verdict"] for c in run["analysis"]["comparisons"]} == {"no verdict"}


def check_found_again(directory: Path, answer: dict[str, Any]) -> None:
    """The same command finds the runs finished."""
    again = answer_of(directory, "run", "ortlab.toml")
    assert [r["directory"] for r in again["runs"]] == [r["directory"] for r in answer["runs"]]
    assert all(run["found"] for run in again["runs"])
