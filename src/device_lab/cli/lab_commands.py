"""What the lab's commands do; see `device_lab.cli.lab`."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from device_lab.settings import (
    LabSettings,
    host_id,
    load_settings,
    only_agent,
    open_store,
    write_settings,
)
from ortlab.cli import render
from ortlab.errors import UsageError

if TYPE_CHECKING:
    from device_lab.inventory import Inventory
    from device_lab.measuring import Say
    from device_lab.store import LabStore
    from device_lab.values import JobSpec, KnownPhone, LabPhone

_SHORT_ID = 12


def _now() -> datetime:
    return datetime.now(UTC)


@contextlib.contextmanager
def _opened(url: str | None) -> Iterator[LabStore]:
    store = open_store(url)
    try:
        yield store
    finally:
        store.close()


@contextlib.contextmanager
def _progress() -> Iterator[Say]:
    """Show progress that several threads tell of."""
    lock = threading.Lock()
    with render.Progress() as progress:

        def say(text: str) -> None:
            with lock:
                progress.update(text)

        yield say


def _settings(name: str | None, device: Sequence[str] | None, *, host_device: bool) -> LabSettings:
    """Return what `lab.toml` says, and what the command line adds to it."""
    from device_lab.inventory import check_devices

    settings = load_settings()
    added = (*settings.devices, *(device or ()), *(("host",) if host_device else ()))
    return replace(settings, host_id=name or settings.host_id, devices=check_devices(added))


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

    settings = _settings(host_id, device, host_device=host_device)
    if store is not None:
        with _opened(store):  # refused before anything is written
            pass
    path = write_settings(
        store=store, host_id=settings.host_id, devices=settings.devices, replace=force
    )
    name = _host_name(settings)
    with _opened(None) as opened, _progress() as say:
        seen = Inventory(name, settings.devices, say=say).look(_now())
        opened.see_phones(name, seen, _now(), limits=settings.limits)
    if as_json:
        render.show_json(
            {"settings": str(path), "host_id": name, "phones": [_plain(phone) for phone in seen]}
        )
        return 0
    render.say(f"wrote {path}; this machine is {name}")
    _show_seen(seen)
    render.say("next: ortlab lab submit JOB.toml, and ortlab lab agent")
    return 0


def _host_name(settings: LabSettings) -> str:
    return host_id(settings)


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
    settings = _settings(host_id, device, host_device=host_device)
    name = _host_name(settings)
    with only_agent(name), _opened(store) as opened, _progress() as say:
        inventory = Inventory(name, settings.devices, say=say)
        for lease in give_back(opened, name, _now()):
            say(f"{lease.phone_id}: gives {lease.cell_id} back, which a killed agent held")
        if scheduler is not None:
            _run_for_scheduler(
                opened, inventory, scheduler, say,
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
        clock=_now,
        say=say,
    )
    return {str(outcome): count for outcome, count in running.run().outcomes.items()}


def _run_for_scheduler(
    store: LabStore,
    inventory: Inventory,
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
    )
    run_agent(
        store,
        options,
        look=inventory.look,
        measure=PhoneMeasure(inventory),
        clock=_now,
        say=say,
        on_connect=lambda address: say(f"connected to the scheduler at {address}"),
    )


# ------------------------------------------------------------------------------ jobs


def submit(*, file: Path | None, store: str | None, as_json: bool, **options: Any) -> int:
    """Hand a job in."""
    from device_lab.planning import why_nowhere
    from device_lab.submitting import away, read_job

    spec = _spec_of(options) if file is None else read_job(file)
    if file is not None and (given := _given(options)):
        message = f"cannot take {file} and --{given[0]} together: the file says it all"
        raise UsageError(message, next_step=f"ortlab lab submit {file}")
    with _opened(store) as opened:
        known = {job.job_id: job for job in opened.jobs()}
        job_id = opened.submit(spec, _now())
        cells = opened.cells(job_id)
        nowhere = why_nowhere(spec.requirements, [known.phone for known in opened.phones()])
    if job_id in known and known[job_id].cancelled:
        message = f"cannot submit {spec.name} again: the same job was cancelled"
        raise UsageError(message, next_step="give it another name")
    notes = [f"{path} is not on this machine; the agents' must have it" for path in away(spec)]
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


def _given(options: dict[str, Any]) -> list[str]:
    usual = {"phones": 1, "priority": 0, "retries": 2}
    return [name for name, value in options.items() if value not in (None, [], usual.get(name))]


def _spec_of(options: dict[str, Any]) -> JobSpec:
    """Put a job together from options, by way of a job file's checks."""
    from device_lab.jobs import spec_of
    from device_lab.submitting import absolute, check
    from ortlab.cli.commands import listed

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

    with _opened(store) as opened:

        def read() -> tuple[Any, Any]:
            return opened.overview(_now()), opened.results(limit=shown.MOST_VERDICTS)

        if follow:
            shown.follow(read, render.console(), clock=_now, interval_s=interval_s, as_json=as_json)
            return 0
        overview, results = read()
    if as_json:
        render.show_json({**shown.status_json(overview, _now()), "results": list(results)})
    else:
        render.console().print(shown.status_view(overview, results, _now()))
    return 0


def cancel(*, job: str, store: str | None, as_json: bool) -> int:
    """Cancel a job."""
    with _opened(store) as opened:
        found = opened.job(job)
        dropped = opened.cancel(found.job_id, _now())
    if as_json:
        render.show_json({"job_id": found.job_id, "name": found.spec.name, "dropped": dropped})
    else:
        render.say(f"{found.spec.name} cancelled: {dropped} cell(s) were not done")
    return 0


# ------------------------------------------------------------------------------ phones


def list_phones(*, store: str | None, as_json: bool) -> int:
    """List the phones."""
    from device_lab import wording

    with _opened(store) as opened:
        overview = opened.overview(_now())
    if as_json:
        render.show_json({"phones": [_plain(known) for known in overview.phones]})
        return 0
    socs = {known.phone.phone_id: known.phone.soc or "" for known in overview.phones}
    rows = wording.phone_rows(overview, _now())
    if not rows:
        render.say("the lab knows no phone yet; next: ortlab lab agent")
        return 0
    for row in rows:
        virtual = " (virtual)" if row.virtual else ""
        labels = f"; labels {', '.join(row.labels)}" if row.labels else ""
        render.say(f"{row.phone_id}: {row.name}{virtual}, {row.system}{labels}")
        chip = f", {socs[row.phone_id]}" if socs[row.phone_id] else ""
        render.say(f"  {row.state} for {row.since}, on {row.host_id}, seen {row.seen}{chip}")
        render.say(
            f"  battery {row.battery}, {row.temperature}, {row.free} free,"
            f" noise floor {row.noise_floor}"
        )
        for text in (f"measures {row.work}" if row.work else "", row.reason):
            if text:
                render.say(f"  {text}")
    return 0


def release(
    *,
    phone: str,
    probe: bool,
    store: str | None,
    host_id: str | None,
    device: Sequence[str] | None,
    host_device: bool,
    as_json: bool,
) -> int:
    """End a quarantine, by word or by proof."""
    with _opened(store) as opened:
        known = _phone(opened, phone)
        sentence = "by word"
        if probe:
            sentence = _probe(opened, known, _settings(host_id, device, host_device=host_device))
        opened.release_phone(known.phone.phone_id, _now())
    return _changed(known, f"released from {known.state}: {sentence}", as_json=as_json)


def _probe(store: LabStore, known: KnownPhone, settings: LabSettings) -> str:
    from device_lab.inventory import Inventory
    from device_lab.probing import probe

    with _progress() as say:
        inventory = Inventory(_host_name(settings), settings.devices, say=say)
        return probe(store, inventory, known.phone.phone_id, _now(), say)


def quarantine(*, phone: str, reason: str, store: str | None, as_json: bool) -> int:
    """Give a phone no further work."""
    with _opened(store) as opened:
        known = _phone(opened, phone)
        opened.quarantine(known.phone.phone_id, reason, _now())
    return _changed(known, f"in quarantine: {reason}", as_json=as_json)


def label(*, phone: str, labels: Sequence[str], store: str | None, as_json: bool) -> int:
    """Label a phone."""
    for text in labels:
        if not text.strip() or not text.isprintable() or len(text) > 100:
            message = f"cannot use {text!r} as a label"
            raise UsageError(message, next_step="up to 100 printable characters")
    with _opened(store) as opened:
        known = _phone(opened, phone)
        opened.label(known.phone.phone_id, sorted(set(labels)), _now())
    return _changed(known, f"labels: {', '.join(labels) or 'none'}", as_json=as_json)


def _changed(known: KnownPhone, sentence: str, *, as_json: bool) -> int:
    if as_json:
        render.show_json({"phone_id": known.phone.phone_id, "answer": sentence})
    else:
        render.say(f"{known.phone.phone_id} ({known.phone.info.name}): {sentence}")
    return 0


def _phone(store: LabStore, text: str) -> KnownPhone:
    """Return the phone that a text means.

    Raises:
        UsageError: None, or several.
    """
    phones = store.phones()
    exact = [known for known in phones if known.phone.phone_id == text]
    found = exact or [known for known in phones if text and text in known.phone.phone_id]
    if len(found) == 1:
        return found[0]
    names = ", ".join(known.phone.phone_id for known in (found or phones)[:5])
    problem = "several phones are meant" if found else "the lab knows no such phone"
    message = f"cannot tell which phone is {text!r}: {problem} ({names or 'none'})"
    raise UsageError(message, next_step="ortlab lab phones")


def _plain(value: object) -> Any:
    from ortlab.codec import to_plain

    return to_plain(value)
