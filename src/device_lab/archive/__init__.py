"""What outlives the store: an export to Parquet, a backup, and pruning what nobody needs."""

from device_lab.archive.backup import back_up, compact
from device_lab.archive.exporting import ExportedTable, export
from device_lab.archive.prune import PruneAnswer, PrunePlan, carry_out, plan_prune

__all__ = [
    "ExportedTable",
    "PruneAnswer",
    "PrunePlan",
    "back_up",
    "carry_out",
    "compact",
    "export",
    "plan_prune",
]
