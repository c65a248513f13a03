"""What the lab knows, in SQLite or PostgreSQL; `LabStore` is its only door."""

from device_lab.store.lab_store import LabStore

__all__ = ["LabStore"]
