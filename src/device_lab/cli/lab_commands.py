"""What the lab's commands do; see `device_lab.cli.lab`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from device_lab.cli.context import opened_store, settings_with, shown_progress, utc_now
from device_lab.settings import LabSettings, only_agent, write_settings
from device_lab.settings import host_id as name_of_host
from ortlab.cli import render
from ortlab.codec import to_plain
from ortlab.errors import UsageError

if TYPE_CHECKING:
    from device_lab.inventory import Inventory
    from device_lab.measuring import Say
    from device_lab.store import LabStore
    from device_lab.values import JobSpec, LabPhone

_SHORT_ID = 12


# ------------------------------------------------------------------------------ a lab and its host


def init(
    *,
    store: str | None,
    host_id: str | None,
    device: Sequence[str] | None,
    host_device: bool,
    force: bool,
    as_json: bool,
) -> int:
    """Set the lab up on this machine."""
    from device_lab.inventory import Inventory

    settings = settings_with(host_id, device, host_device=host_device)
    if store is not None:
        with opened_store(store):  # refused before anything is written
            pass
    path = write_settings(
        store=store, host_id=settings.host_id, devices=settings.devices, replace=force
    )
    name = name_of_host(settings)
    with opened_store(None) as opened, shown_progress() as say:
        seen = Inventory(name, settings.devices, say=say).look(utc_now())
        opened.see_phones(name, seen, utc_now(), limits=settings.limits)
    if as_json:
        render.show_json(
            {"settings": str(path), "host_id": name, "phones": [to_plain(phone) for phone in seen]}
        )
        return 0
    render.say(f"wrote {path}; this machine is {name}")
    _show_seen(seen)
    render.say("next: ortlab lab submit JOB.toml, and ortlab lab agent")
    return 0


def _show_seen(seen: Sequence[LabPhone]) -> None:
    if not seen:
        render.say("no phone is attached; connect one, or add --device virtual:android")
    for phone in seen:
        virtual = " (virtual)" if phone.info.virtual else ""
        state = f"not ready: {phone.blocked}" if phone.blocked else "ready"
        render.say(f"{phone.phone_id}: {phone.info.name}{virtual}, {state}")


def agent(
    *,
    store: str | None,
    scheduler: str | None,
    without_tls: bool,
    host_id: str | None,
    device: Sequence[str] | None,
    host_device: bool,
    until_done: bool,
    look_every_s: float,
    lease_s: float,
    as_json: bool,
) -> int:
    """Run the phones of this machine."""
    from device_lab.agent import give_back
    from device_lab.inventory import Inventory

    if scheduler is not None and until_done:
        message = "cannot end once all is done: with --scheduler, others give out the work"
        raise UsageError(message, next_step="leave out --until-done")
    settings = settings_with(host_id, device, host_device=host_device)
    name = name_of_host(settings)
    with only_agent(name), opened_store(store) as opened, shown_progress() as say:
        inventory = Inventory(name, settings.devices, say=say)
        for lease in give_back(opened, name, utc_now()):
            say(f"{lease.phone_id}: gives {lease.cell_id} back, which a killed agent held")
        if scheduler is not None:
            _run_for_scheduler(
                opened, inventory, settings, scheduler, say,
                without_tls=without_tls, look_every_s=look_every_s, lease_s=lease_s,
            )  # fmt: skip
            return 0
        outcomes = _run_here(
            opened, inventory, settings, say,
            until_done=until_done, look_every_s=look_every_s, lease_s=lease_s,
        )  # fmt: skip
    if as_json:
        render.show_json({"host_id": name, "outcomes": outcomes})
    else:
        told = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items())
        render.say(f"attempts: {told or 'none'}")
    return 0


def _run_here(
    store: LabStore,
    inventory: Inventory,
    settings: LabSettings,
    say: Say,
    *,
    until_done: bool,
    look_every_s: float,
    lease_s: float,
) -> dict[str, int]:
    from device_lab.agent import Agent, AgentOptions, holder_of
    from device_lab.experiments import PhoneMeasure

    options = AgentOptions(
        host_id=inventory.host_id,
        limits=settings.limits,
        look_every_s=look_every_s,
        lease_s=lease_s,
        until_done=until_done,
    )
    running = Agent(
        store,
        options,
        holder=holder_of(inventory.host_id, os.getpid()),
        look=inventory.look,
        measure=PhoneMeasure(inventory),
        clock=utc_now,
        say=say,
    )
    return {str(outcome): count for outcome, count in running.run().outcomes.items()}


def _run_for_scheduler(
    store: LabStore,
    inventory: Inventory,
    settings: LabSettings,
    scheduler: str,
    say: Say,
    *,
    without_tls: bool,
    look_every_s: float,
    lease_s: float,
) -> None:
    from device_lab.cluster import AgentOptions, run_agent
    from device_lab.experiments import PhoneMeasure

    options = AgentOptions(
        scheduler=scheduler,
        host_id=inventory.host_id,
        without_tls=without_tls,
        look_every_s=look_every_s,
        lease_s=lease_s,
        limits=settings.limits,
    )
    run_agent(
        store,
        options,
        look=inventory.look,
        measure=PhoneMeasure(inventory),
        clock=utc_now,
        say=say,
        on_connect=lambda address: say(f"connected to the scheduler at {address}"),
    )


# ------------------------------------------------------------------------------ jobs


def submit(*, file: Path | None, store: str | None, as_json: bool, **options: Any) -> int:
    """Hand a job in."""
    from device_lab.planning import why_nowhere
    from device_lab.submitting import away, read_job
    from device_lab.values import DEADLINE_PASSED

    spec = _spec_of(options) if file is None else read_job(file)
    if file is not None and (given := _given(options)):
        message = f"cannot take {file} and --{given[0]} together: the file says it all"
        raise UsageError(message, next_step=f"ortlab lab submit {file}")
    with opened_store(store) as opened:
        known = {job.job_id: job for job in opened.jobs()}
        job_id = opened.submit(spec, utc_now())
        cells = opened.cells(job_id)
        nowhere = why_nowhere(spec.requirements, [known.phone for known in opened.phones()])
        notes = _deadline_notes(opened, job_id) if spec.deadline else []
    if job_id in known and known[job_id].cancelled:
        late = known[job_id].overdue
        why = f": {DEADLINE_PASSED}" if late else ""
        message = f"cannot submit {spec.name} again: the same job was cancelled{why}"
        step = "give it a later deadline, or none" if late else "give it another name"
        raise UsageError(message, next_step=step)
    notes += [f"{path} is not on this machine; the agents' must have it" for path in away(spec)]
    if nowhere is not None:
        notes.append(f"it cannot run yet: {nowhere}")
    if as_json:
        answer = {"job_id": job_id, "name": spec.name, "cells": len(cells)}
        render.show_json({**answer, "new": job_id not in known, "notes": notes})
        return 0
    word = "is in the lab already" if job_id in known else "submitted"
    render.say(f"{spec.name} {word}: job {job_id[:_SHORT_ID]}, {len(cells)} cell(s)")
    for note in notes:
        render.note(f"note: {note}")
    return 0


def _deadline_notes(store: LabStore, job_id: str) -> list[str]:
    """Return what is to be said of a job's deadline already when it comes in."""
    from device_lab.wording import job_row

    now = utc_now()
    progress = next((one for one in store.overview(now).jobs if one.job.job_id == job_id), None)
    row = None if progress is None else job_row(progress, now)
    if row is None or not row.late or row.ended == row.total:
        return []
    return [f"{row.deadline}: {row.estimate}"]


def _given(options: dict[str, Any]) -> list[str]:
    usual = {"phones": 1, "priority": 0, "retries": 2}
    return [name for name, value in options.items() if value not in (None, [], usual.get(name))]


def _spec_of(options: dict[str, Any]) -> JobSpec:
    """Put a job together from options, by way of a job file's checks."""
    from device_lab.jobs import spec_of
    from device_lab.submitting import absolute, check
    from ortlab.cli.options import listed

    models = [str(path) for path in options["model"] or ()]
    if not models:
        message = "cannot submit a job: it names no model"
        raise UsageError(message, next_step="ortlab lab submit JOB.toml, or --model PREPARED")
    required = {
        "platform": options["platform"],
        "soc": options["soc"],
        "min_os": options["min_os"],
        "max_os": options["max_os"],
        "min_memory_bytes": options["min_memory"],
        "labels": list(listed(options["label"])),
        "phone_count": options["phones"],
    }
    bench = {
        "app": list(options["app"] or ()),
        "style": list(listed(options["style"])),
        "ep": list(options["ep"] or ()),
        "threads": [_whole(word) for word in listed(options["threads"])],
        "against": list(listed(options["against"])),
        **{name: options[name] for name in ("min_rounds", "max_rounds", "block_s")},
    }
    plain = {
        "name": options["name"] or " ".join(Path(model).name for model in models)[:100],
        "models": models,
        "priority": options["priority"],
        "deadline": _time(options["deadline"]),
        "retries": options["retries"],
        "requirements": _said(required),
        "bench": _said(bench),
    }
    spec = absolute(spec_of(_said(plain), source="the options"), Path.cwd())
    check(spec, source="the options")
    return spec


def _said(plain: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in plain.items() if value not in (None, [])}


def _whole(word: str) -> int:
    if not (word.isascii() and word.isdecimal() and len(word) < 6):
        message = f"cannot use {word!r} as a number of threads"
        raise UsageError(message, next_step="--threads 1,2,4")
    return int(word)


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        message = f"cannot use {text!r} as a deadline"
        raise UsageError(message, next_step="--deadline 2026-11-22T06:00:00Z") from error


def status(*, follow: bool, interval_s: float, store: str | None, as_json: bool) -> int:
    """Show how the lab is."""
    from device_lab import status as shown

    with opened_store(store) as opened:

        def read() -> tuple[Any, Any]:
            return opened.overview(utc_now()), opened.results(limit=shown.MOST_VERDICTS)

        if follow:
            shown.follow(
                read, render.console(), clock=utc_now, interval_s=interval_s, as_json=as_json
            )
            return 0
        overview, results = read()
    if as_json:
        render.show_json({**shown.status_json(overview, utc_now()), "results": list(results)})
    else:
        render.console().print(shown.status_view(overview, results, utc_now()))
    return 0


def cancel(*, job: str, store: str | None, as_json: bool) -> int:
    """Cancel a job."""
    with opened_store(store) as opened:
        found = opened.job(job)
        dropped = opened.cancel(found.job_id, utc_now())
    if as_json:
        render.show_json({"job_id": found.job_id, "name": found.spec.name, "dropped": dropped})
    else:
        render.say(f"{found.spec.name} cancelled: {dropped} cell(s) were not done")
    return 0
