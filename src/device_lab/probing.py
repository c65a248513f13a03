"""Whether a phone in quarantine is well again: what failed last, in miniature."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from device_lab.inventory import Inventory
from device_lab.measuring import Say
from device_lab.values import Cell, JobSpec, Outcome
from ortlab import pipeline
from ortlab.errors import DeviceError, DeviceNotReadyError, OrtlabError

if TYPE_CHECKING:
    from device_lab.store import LabStore


def probe(store: LabStore, inventory: Inventory, phone_id: str, now: datetime, say: Say) -> str:
    """Look at a phone of this host and run the last failed experiment in miniature.

    Args:
        store: Of the lab.
        inventory: Of this host.
        phone_id: Of the phone.
        now: The time.
        say: Told where the work stands.

    Returns:
        What was tried and went well, in a sentence.

    Raises:
        DeviceError: The phone is not here, not ready, or no block succeeds on it.
        OrtlabError: As for every measurement.
    """
    here = {phone.phone_id: phone for phone in inventory.look(now)}
    if phone_id not in here:
        hosts = {known.phone.phone_id: known.phone.host_id for known in store.phones()}
        where = hosts.get(phone_id)
        message = f"cannot probe {phone_id}: it is not attached to this host, {inventory.host_id}"
        step = f"run this on {where}" if where and where != inventory.host_id else "connect it"
        raise DeviceError(message, next_step=step)
    if here[phone_id].blocked is not None:
        message = f"cannot probe {phone_id}: {here[phone_id].blocked}"
        raise DeviceNotReadyError(message, next_step="ortlab devices")
    failed = _last_failure(store, phone_id)
    if failed is None:
        return f"{phone_id} is here and ready; nothing that failed on it is known to try again"
    cell, spec = failed
    with inventory.in_use(phone_id) as device_id:
        blocks = _try_again(device_id, cell, spec, say)
    return f"{phone_id} ran {blocks} short blocks of {Path(cell.model).name}"


def _last_failure(store: LabStore, phone_id: str) -> tuple[Cell, JobSpec] | None:
    for attempt in store.attempts(phone_id=phone_id, limit=100):
        if attempt.outcome is Outcome.FAILED:
            with contextlib.suppress(OrtlabError):  # pruned since
                cell = store.cell(attempt.cell_id)
                return cell, store.job(cell.job_id).spec
    return None


def _try_again(device_id: str, cell: Cell, spec: JobSpec, say: Say) -> int:
    from ortlab.bench import run_experiment
    from ortlab.domain import Outcome as BlockOutcome
    from ortlab.rounds import failure_text

    section = replace(
        spec.bench_of(cell.model),
        device=(device_id,),
        min_rounds=2,
        max_rounds=2,
        block_s=0.1,
        memory_blocks=0,
        cold_start_blocks=0,
    )
    with (
        tempfile.TemporaryDirectory(prefix="ortlab-probe-") as directory,
        contextlib.closing(pipeline.open_for(device_id, section, say=say)) as device,
    ):
        planned = pipeline.plan(
            Path(cell.model), section, device, command="ortlab lab phones release --probe", say=say
        )
        run = run_experiment(
            Path(directory) / "run",
            planned,
            device,
            progress=lambda progress: say(progress.message),
            should_stop=lambda: False,
        )
    succeeded = sum(block.outcome is BlockOutcome.OK for block in run.blocks)
    if not succeeded:
        why = failure_text(run.blocks[-1]) if run.blocks else "there was none to run"
        message = f"cannot release {device_id}: no block succeeded on it: {why}"
        raise DeviceError(message, next_step="ortlab lab phones release without --probe")
    return succeeded
