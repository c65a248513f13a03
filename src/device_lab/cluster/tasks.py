"""What travels through Dask: the id of a cell and of a phone, never a secret, never a result."""

from __future__ import annotations

from typing import Any

PLUGIN_NAME = "device_lab"


def phone_resource(phone_id: str) -> str:
    """Return the name of the Dask resource that stands for a phone."""
    return f"phone:{phone_id}"


def phone_of(resource: str) -> str | None:
    """Return the phone that a Dask resource stands for; None for any other resource."""
    kind, _, phone_id = resource.partition(":")
    return phone_id if kind == "phone" else None


def measure_cell(cell_id: str, phone_id: str) -> None:
    """Measure a cell on a phone of the agent that this runs in; what came of it is in the store."""
    from distributed import get_worker

    agent: Any = get_worker().plugins[PLUGIN_NAME]
    agent.measure_cell(cell_id, phone_id)
