"""Jobs, cells, phones, attempts and blocks."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the first tables."""
    op.create_table(
        "jobs",
        sa.Column("job_id", sa.String(64), primary_key=True),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("submitted_at", sa.String(40), nullable=False),
        sa.Column("cancelled", sa.Boolean, nullable=False),
    )
    op.create_table(
        "cells",
        sa.Column("cell_id", sa.String(80), primary_key=True),
        sa.Column(
            "job_id", sa.String(64), sa.ForeignKey("jobs.job_id"), nullable=False, index=True
        ),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("slot", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False, index=True),
        sa.Column("phone_id", sa.Text),
        sa.Column("failed_attempts", sa.Integer, nullable=False),
    )
    op.create_table(
        "phones",
        sa.Column("phone_id", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text),
    )
    op.create_table(
        "attempts",
        sa.Column("token", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("cell_id", sa.String(80), sa.ForeignKey("cells.cell_id"), nullable=False),
        sa.Column("phone_id", sa.Text, sa.ForeignKey("phones.phone_id"), nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("started_at", sa.String(40), nullable=False),
        sa.Column("expires_at", sa.String(40), nullable=False),
        sa.Column("ended_at", sa.String(40)),
        sa.Column("outcome", sa.String(16)),
        sa.Column("reason", sa.Text),
        sqlite_autoincrement=True,
    )
    running = sa.text("outcome IS NULL")
    for column in ("cell_id", "phone_id"):
        op.create_index(
            f"one_running_{column}",
            "attempts",
            [column],
            unique=True,
            sqlite_where=running,
            postgresql_where=running,
        )
    op.create_table(
        "blocks",
        sa.Column("cell_id", sa.String(80), sa.ForeignKey("cells.cell_id"), primary_key=True),
        sa.Column("block_id", sa.Text, primary_key=True),
        sa.Column("token", sa.Integer, sa.ForeignKey("attempts.token"), nullable=False),
        sa.Column("line", sa.Text, nullable=False),
    )
