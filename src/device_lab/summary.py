"""A night's verdict for continuous integration: JUnit XML, and Markdown for a job's summary.

Names of models and phones come from others; both forms show what they hold and obey none of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from device_lab.night_gate import CellOutcome, JudgedCell, NightVerdict
from ortlab import __version__
from ortlab.analysis import wording
from ortlab.report import JUnitRow, JUnitStatus
from ortlab.report import junit as junit_document
from ortlab.report.markdown import escape

MOST_ROWS: Final = 200
"""Of one table of the Markdown summary: hosts cut long ones off without a word."""

_STATES: Final = {
    CellOutcome.SLOWER: JUnitStatus.FAILED,
    CellOutcome.NOT_RERUN: JUnitStatus.ERROR,
    CellOutcome.BELOW_FLOOR: JUnitStatus.PASSED,
    CellOutcome.NOT_CONFIRMED: JUnitStatus.PASSED,
    CellOutcome.NO_SLOWDOWN_SEEN: JUnitStatus.PASSED,
}
_ORDER: Final = (
    CellOutcome.SLOWER,
    CellOutcome.NOT_RERUN,
    CellOutcome.NOT_MEASURED,
    CellOutcome.BELOW_FLOOR,
    CellOutcome.NOT_CONFIRMED,
    CellOutcome.NO_SLOWDOWN_SEEN,
)
_TOLD: Final = _ORDER[:-1]


def junit(verdict: NightVerdict, *, complete: bool = False) -> str:
    """Return a JUnit XML document with one test case a cell.

    Args:
        verdict: Of the night.
        complete: Whether a cell without a usable result is an error; else it is skipped.
    """
    missing = JUnitStatus.ERROR if complete else JUnitStatus.SKIPPED
    named = Counter(cell.screening.name for cell in verdict.cells)
    rows = [
        JUnitRow(
            name=_case_name(cell, alone=named[cell.screening.name] == 1),
            status=_STATES.get(cell.outcome, missing),
            message=cell.sentence,
        )
        for cell in verdict.cells
    ]
    return junit_document("ortlab lab gate", rows)


def _case_name(cell: JudgedCell, *, alone: bool) -> str:
    """Return a name that no other case has: two directories may hold models of one name."""
    name = cell.screening.name
    return name if alone else f"{name}, {cell.screening.key.model}"


def markdown(verdict: NightVerdict) -> str:
    """Return the summary of a night: the verdict, the counts, and each cell that stands out."""
    lines = [f"### ortlab lab gate: {verdict.status}", "", f"**{escape(verdict.sentence)}**", ""]
    lines += ["| outcome | cells |", "|---|---:|"]
    lines += [
        f"| {outcome} | {count} |" for outcome in _ORDER if (count := len(verdict.of(outcome)))
    ]
    for outcome in _TOLD:
        lines += _table(outcome, verdict.of(outcome))
    lines += ["", f"<sub>limit {escape(wording.limit(verdict.limit))}; ortlab {__version__}</sub>"]
    return "\n".join(lines) + "\n"


def _table(outcome: CellOutcome, cells: Sequence[JudgedCell]) -> list[str]:
    if not cells:
        return []
    lines = ["", f"#### {outcome}", "", "| model | phone | new to base | p | what was seen |"]
    lines.append("|---|---|---:|---:|---|")
    lines += [_row(cell) for cell in cells[:MOST_ROWS]]
    if len(cells) > MOST_ROWS:
        lines += ["", f"… and {len(cells) - MOST_ROWS} more"]
    return lines


def _row(cell: JudgedCell) -> str:
    key, p = cell.screening.key, cell.rerun_p
    setting = f" ({key.setting})" if key.setting else ""
    return "| {} | {} | {} | {} | {} |".format(
        escape(cell.screening.model_name + setting),
        escape(cell.screening.phone),
        f"{wording.percent(cell.ratio - 1, signed=True)} %" if cell.ratio is not None else "–",
        f"{p:.2g}" if p is not None else "–",
        escape(cell.sentence.removeprefix(f"{cell.screening.name}: ")),
    )
