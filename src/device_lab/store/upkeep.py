"""What keeps a store sound and small: checking it, exporting it, deleting what is over."""

from __future__ import annotations

from typing import Any, Final

from device_lab.store.rows import Run
from ortlab.errors import UsageError

EXPORTED: Final = {
    "jobs": "job_id",
    "cells": "cell_id",
    "phones": "phone_id",
    "attempts": "token",
    "blocks": "number",
    "results": "cell_id",
    "events": "number",
}
"""The tables that can be exported, each with the column that orders it."""

_MOST_SHOWN = 20
_CHECKS: Final = (
    (
        "the cell {0} is leased, but nobody holds it",
        (
            "SELECT c.cell_id FROM cells c WHERE c.state = 'leased' AND NOT EXISTS"
            " (SELECT 1 FROM attempts a WHERE a.cell_id = c.cell_id AND a.outcome IS NULL)"
        ),
    ),
    (
        "the cell {0} is {1}, but the attempt {2} still runs",
        (
            "SELECT c.cell_id, c.state, a.token FROM attempts a JOIN cells c"
            " ON c.cell_id = a.cell_id"
            " WHERE a.outcome IS NULL AND c.state NOT IN ('leased', 'cancelled')"
        ),
    ),
    (
        "the attempt {0} runs on {1}, but its cell {2} names another phone",
        (
            "SELECT a.token, a.phone_id, c.cell_id FROM attempts a JOIN cells c"
            " ON c.cell_id = a.cell_id WHERE a.outcome IS NULL"
            " AND (c.phone_id IS NULL OR c.phone_id != a.phone_id)"
        ),
    ),
    (
        "the cell {0} waits, but a phone is written to it",
        "SELECT cell_id FROM cells WHERE state = 'open' AND phone_id IS NOT NULL",
    ),
    (
        "the cell {0} is done, but no attempt did it",
        (
            "SELECT c.cell_id FROM cells c WHERE c.state = 'done' AND NOT EXISTS"
            " (SELECT 1 FROM attempts a WHERE a.cell_id = c.cell_id AND a.outcome = 'done')"
        ),
    ),
    (
        "the cell {0} is {1}, which is no state",
        (
            "SELECT cell_id, state FROM cells"
            " WHERE state NOT IN ('open', 'leased', 'done', 'failed', 'cancelled')"
        ),
    ),
    (
        "the block {1} of the cell {0} carries the token {2} of another cell or phone",
        (
            "SELECT b.cell_id, b.block_id, b.token FROM blocks b LEFT JOIN attempts a"
            " ON a.token = b.token WHERE a.token IS NULL OR a.cell_id != b.cell_id"
            " OR a.phone_id != b.phone_id"
        ),
    ),
    (
        "the result of the cell {0} stands beside a cell that is {1}",
        (
            "SELECT r.cell_id, c.state FROM results r LEFT JOIN cells c ON c.cell_id = r.cell_id"
            " WHERE c.state IS NULL OR c.state != 'done'"
        ),
    ),
    (
        "the job {0} of the cell {1} is missing",
        (
            "SELECT c.job_id, c.cell_id FROM cells c LEFT JOIN jobs j ON j.job_id = c.job_id"
            " WHERE j.job_id IS NULL"
        ),
    ),
    (
        "the job {0} counts {3} cells of {1} that are {2}, but there are {4}",
        (
            "SELECT t.job_id, t.model, t.state, t.cells AS kept, (SELECT count(*) FROM cells c"
            " WHERE c.job_id = t.job_id AND c.model = t.model AND c.state = t.state) AS found"
            " FROM tallies t WHERE t.cells != (SELECT count(*) FROM cells c"
            " WHERE c.job_id = t.job_id AND c.model = t.model AND c.state = t.state)"
        ),
    ),
    (
        "the job {0} counts {1} open cells, but there are {2}",
        (
            "SELECT j.job_id, j.open_cells, (SELECT count(*) FROM cells c WHERE c.job_id = j.job_id"
            " AND c.state = 'open') AS found FROM jobs j WHERE j.open_cells !="
            " (SELECT count(*) FROM cells c WHERE c.job_id = j.job_id AND c.state = 'open')"
        ),
    ),
    (
        "the store counts {0} blocks, but there are {1}",
        (
            "SELECT value, (SELECT count(*) FROM blocks) AS found FROM counters"
            " WHERE name = 'blocks' AND value != (SELECT count(*) FROM blocks)"
        ),
    ),
)


def integrity_check(run: Run, dialect: str) -> tuple[str, ...]:
    """Return what is wrong with the store, in words; empty if nothing is."""
    found: list[str] = []
    if dialect == "sqlite":
        # Not only SELECT: these pragmas read, and nothing else tells of a damaged page.
        pages = [str(row[0]) for row in run("PRAGMA integrity_check")]
        found += [f"SQLite: {line}" for line in pages if line != "ok"]
        found += [
            f"a row of {row[0]} points to a row of {row[2]} that is missing"
            for row in run("PRAGMA foreign_key_check")
        ]
    for words, statement in _CHECKS:
        rows = run(statement)
        found += [words.format(*row) for row in rows[:_MOST_SHOWN]]
        if len(rows) > _MOST_SHOWN:
            found.append(f"… and {len(rows) - _MOST_SHOWN} more of that kind")
    return tuple(found)


def chunk_of(run: Run, table: str, after: object | None, size: int) -> list[Any]:
    """Return the next rows of a table, in the order of its key."""
    key = EXPORTED.get(table)
    if key is None:
        message = f"cannot export {table[:100]!r}: it must be one of {', '.join(EXPORTED)}"
        raise UsageError(message)
    if after is None:
        return run(f"SELECT * FROM {table} ORDER BY {key} LIMIT :size", size=size)  # noqa: S608
    return run(
        f"SELECT * FROM {table} WHERE {key} > :after ORDER BY {key} LIMIT :size",  # noqa: S608
        after=after,
        size=size,
    )


def block_sizes(run: Run, dialect: str) -> dict[str, tuple[int, int]]:
    """Return for each cell that has blocks how many, and the bytes of their lines."""
    size = "octet_length(line)" if dialect == "postgresql" else "length(CAST(line AS BLOB))"
    rows = run(
        f"SELECT cell_id, count(*) AS blocks, sum({size}) AS size FROM blocks"  # noqa: S608
        " GROUP BY cell_id"
    )
    return {row.cell_id: (int(row.blocks), int(row.size)) for row in rows}


def delete_blocks(run: Run, cell_id: str) -> int:
    """Delete the blocks and experiments of a cell that is over; its result stays."""
    row = run.first(
        "SELECT c.state, c.job_id, j.baseline FROM cells c JOIN jobs j ON j.job_id = c.job_id"
        " WHERE c.cell_id = :cell",
        cell=cell_id,
    )
    if row is None:
        message = f"cannot delete the blocks of the cell {cell_id[:100]}: the lab has no such cell"
        raise UsageError(message)
    thing = f"the blocks of the cell {cell_id}"
    _refuse_unless_over(run, row.job_id, thing, baseline=row.baseline, cell_id=cell_id)
    return _delete(run, "cell_id = :id", cell_id)


def delete_job(run: Run, job_id: str) -> int:
    """Delete a job that is over with all that came of it; return how many blocks that were."""
    row = run.first("SELECT baseline FROM jobs WHERE job_id = :job", job=job_id)
    if row is None:
        message = f"cannot delete the job {job_id[:100]}: the lab has no such job"
        raise UsageError(message)
    _refuse_unless_over(run, job_id, f"the job {job_id}", baseline=row.baseline)
    count = _delete(run, "cell_id IN (SELECT cell_id FROM cells WHERE job_id = :id)", job_id)
    for statement in (
        "DELETE FROM results WHERE job_id = :job",
        "DELETE FROM attempts WHERE cell_id IN (SELECT cell_id FROM cells WHERE job_id = :job)",
        "DELETE FROM cells WHERE job_id = :job",
        "DELETE FROM tallies WHERE job_id = :job",
        "DELETE FROM jobs WHERE job_id = :job",
    ):
        run(statement, job=job_id)
    return count


def _delete(run: Run, where: str, wanted: str) -> int:
    count = run.change(f"DELETE FROM blocks WHERE {where}", id=wanted)  # noqa: S608
    run(f"DELETE FROM experiments WHERE {where}", id=wanted)  # noqa: S608
    run("UPDATE counters SET value = value - :count WHERE name = 'blocks'", count=count)
    return count


def _refuse_unless_over(
    run: Run, job_id: str, thing: str, *, baseline: bool, cell_id: str | None = None
) -> None:
    if baseline:
        message = f"cannot delete {thing}: its job is a baseline"
        raise UsageError(message)
    if run(
        "SELECT 1 FROM cells c WHERE c.job_id = :job AND (:every OR c.cell_id = :cell)"
        " AND (c.state IN ('open', 'leased') OR EXISTS (SELECT 1 FROM attempts a"
        " WHERE a.cell_id = c.cell_id AND a.outcome IS NULL)) LIMIT 1",
        job=job_id,
        every=cell_id is None,
        cell=cell_id or "",
    ):
        message = f"cannot delete {thing}: it is not over"
        raise UsageError(message, next_step=f"ortlab lab cancel {job_id[:12]}")
