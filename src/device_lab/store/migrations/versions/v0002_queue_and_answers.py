"""A queue that is cheap to ask, blocks by phone, experiments, results, events and counters."""

import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_NEVER = "9999-12-31T23:59:59.999999+00:00"


def upgrade() -> None:
    """Add what the first tables lack and fill it from what is there."""
    _add_columns()
    _add_tables()
    _rebuild_blocks()
    connection = op.get_bind()
    _fill_jobs(connection)
    _fill_phones(connection)
    _fill_cells(connection)
    _add_indices()


def _add_columns() -> None:
    added: dict[str, list[sa.Column[Any]]] = {
        "jobs": [
            sa.Column("name", sa.Text, nullable=False, server_default=""),
            sa.Column("urgency", sa.Integer, nullable=False, server_default="0"),
            sa.Column("deadline", sa.String(40), nullable=False, server_default=_NEVER),
            sa.Column("open_cells", sa.Integer, nullable=False, server_default="0"),
            sa.Column("baseline", sa.Boolean, nullable=False, server_default=sa.false()),
        ],
        "cells": [
            sa.Column("home_phone_id", sa.Text),
            sa.Column("reason", sa.Text),
        ],
        "phones": [
            sa.Column("host_id", sa.Text, nullable=False, server_default=""),
            sa.Column("seen_at", sa.String(40), nullable=False, server_default=""),
            sa.Column("since", sa.String(40), nullable=False, server_default=""),
            sa.Column("labels", sa.Text),
            sa.Column("facts", sa.Text, nullable=False, server_default=""),
            sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
        ],
    }
    for table, columns in added.items():
        for column in columns:
            op.add_column(table, column)


def _add_tables() -> None:
    op.create_table(
        "tallies",
        sa.Column("job_id", sa.String(64), sa.ForeignKey("jobs.job_id"), primary_key=True),
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("state", sa.String(16), primary_key=True),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("cells", sa.Integer, sa.CheckConstraint("cells >= 0"), nullable=False),
    )
    op.create_table(
        "counters",
        sa.Column("name", sa.String(16), primary_key=True),
        sa.Column("value", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "experiments",
        sa.Column("cell_id", sa.String(80), sa.ForeignKey("cells.cell_id"), primary_key=True),
        sa.Column("phone_id", sa.Text, sa.ForeignKey("phones.phone_id"), primary_key=True),
        sa.Column("text", sa.Text, nullable=False),
    )
    op.create_table(
        "results",
        sa.Column("cell_id", sa.String(80), sa.ForeignKey("cells.cell_id"), primary_key=True),
        sa.Column("job_id", sa.String(64), sa.ForeignKey("jobs.job_id"), nullable=False),
        sa.Column("phone_id", sa.Text, nullable=False),
        sa.Column("model_name", sa.Text, nullable=False),
        sa.Column("finished_at", sa.String(40), nullable=False),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.create_table(
        "events",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("at", sa.String(40), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )


def _rebuild_blocks() -> None:
    """A block belongs to a cell on a phone, and keeps the order in which it came."""
    op.rename_table("blocks", "first_blocks")
    op.create_table(
        "blocks",
        # SQLite counts up by itself only in a column of exactly this type.
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            primary_key=True,
            autoincrement=True,
        ),
        sa.Column("cell_id", sa.String(80), sa.ForeignKey("cells.cell_id"), nullable=False),
        sa.Column("phone_id", sa.Text, sa.ForeignKey("phones.phone_id"), nullable=False),
        sa.Column("block_id", sa.Text, nullable=False),
        sa.Column("token", sa.Integer, sa.ForeignKey("attempts.token"), nullable=False),
        sa.Column("line", sa.Text, nullable=False),
        sa.UniqueConstraint("cell_id", "phone_id", "block_id", name="one_block"),
        sqlite_autoincrement=True,
    )
    op.execute(
        "INSERT INTO blocks (cell_id, phone_id, block_id, token, line)"
        " SELECT b.cell_id, a.phone_id, b.block_id, b.token, b.line"
        " FROM first_blocks b JOIN attempts a ON a.token = b.token"
        " ORDER BY b.token, b.cell_id, b.block_id"
    )
    op.drop_table("first_blocks")
    op.execute("INSERT INTO counters SELECT 'blocks', count(*) FROM blocks")


def _fill_jobs(connection: sa.Connection) -> None:
    for row in connection.execute(sa.text("SELECT job_id, spec FROM jobs")).all():
        spec = json.loads(row.spec)
        connection.execute(
            sa.text(
                "UPDATE jobs SET name = :name, urgency = :urgency, deadline = :deadline,"
                " open_cells = (SELECT count(*) FROM cells c WHERE c.job_id = jobs.job_id"
                " AND c.state = 'open') WHERE job_id = :job"
            ),
            {
                "name": spec["name"],
                "urgency": -spec["priority"],
                "deadline": _deadline(spec["deadline"]),
                "job": row.job_id,
            },
        )


def _deadline(text: str | None) -> str:
    if text is None:
        return _NEVER
    return datetime.fromisoformat(text).astimezone(UTC).isoformat(timespec="microseconds")


def _fill_phones(connection: sa.Connection) -> None:
    for row in connection.execute(sa.text("SELECT phone_id, value FROM phones")).all():
        value = json.loads(row.value)
        connection.execute(
            sa.text(
                "UPDATE phones SET host_id = :host, seen_at = :seen, since = :seen"
                " WHERE phone_id = :phone"
            ),
            {
                "host": value["host_id"],
                "seen": _deadline(value["seen_at"]),
                "phone": row.phone_id,
            },
        )


def _fill_cells(connection: sa.Connection) -> None:
    connection.execute(
        sa.text(
            "UPDATE cells SET home_phone_id = (SELECT b.phone_id FROM blocks b"
            " WHERE b.cell_id = cells.cell_id ORDER BY b.number DESC LIMIT 1)"
        )
    )
    tallies: Counter[tuple[str, str, str]] = Counter()
    positions: dict[tuple[str, str], int] = {}
    for row in connection.execute(sa.text("SELECT cell_id, job_id, model, state FROM cells")):
        tallies[row.job_id, row.model, row.state] += 1
        position = int(row.cell_id.split("-")[-2])
        key = (row.job_id, row.model)
        positions[key] = min(position, positions.get(key, position))
    for (job_id, model), position in positions.items():
        for state in ("open", "leased", "done", "failed", "cancelled"):
            connection.execute(
                sa.text("INSERT INTO tallies VALUES (:job, :model, :state, :position, :cells)"),
                {
                    "job": job_id,
                    "model": model,
                    "state": state,
                    "position": position,
                    "cells": tallies[job_id, model, state],
                },
            )


def _add_indices() -> None:
    # A search for a state alone tempts SQLite away from the narrow indices below.
    op.drop_index("ix_cells_state", "cells")
    for name, table, columns, unique, where in (
        (
            "queue",
            "jobs",
            ["urgency", "deadline", "submitted_at", "job_id"],
            False,
            "open_cells > 0",
        ),
        ("jobs_by_age", "jobs", ["submitted_at"], False, None),
        ("jobs_by_name", "jobs", ["name"], False, None),
        ("cells_of_model", "cells", ["job_id", "model", "state", "slot"], False, None),
        (
            "model_once_on_phone",
            "cells",
            ["job_id", "model", "phone_id"],
            True,
            "phone_id IS NOT NULL",
        ),
        ("cells_at_home", "cells", ["home_phone_id", "job_id"], False, "home_phone_id IS NOT NULL"),
        ("attempts_of_cell", "attempts", ["cell_id", "token"], False, None),
        ("attempts_of_phone", "attempts", ["phone_id", "token"], False, None),
        ("running_attempts", "attempts", ["expires_at"], False, "outcome IS NULL"),
        ("blocks_of_token", "blocks", ["token"], False, None),
        ("results_of_model", "results", ["model_name", "phone_id", "finished_at"], False, None),
        ("results_of_job", "results", ["job_id"], False, None),
        ("results_by_age", "results", ["finished_at"], False, None),
    ):
        condition = None if where is None else sa.text(where)
        op.create_index(
            name,
            table,
            columns,
            unique=unique,
            sqlite_where=condition,
            postgresql_where=condition,
        )
