"""What the commands of `answers` do; loaded when one of them runs."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from device_lab.settings import lab_directory, open_store, store_url
from device_lab.store import LabStore
from ortlab.cli import render
from ortlab.cli.tables import size
from ortlab.errors import StorageError, UsageError

_SHOWN = 40
_AGE = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)\s*([hdw])")
_HOURS = {"h": 1, "d": 24, "w": 168}
_SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,6})?)\s*(B|[kKMGT]i?B)?")
_POWERS = {"k": 1, "K": 1, "M": 2, "G": 3, "T": 4}


def serve(
    *,
    listen: str,
    port: int,
    name: list[str] | None,
    new_token: bool,
    store: str | None,
) -> int:
    """Show the lab as a page until it is stopped."""
    from device_lab.serve import PageSettings, is_loopback, page_token
    from device_lab.serve import serve as answer

    token = page_token(lab_directory(), new=new_token)

    def ready(address: str) -> None:
        # A journal keeps what it is given: an address with the token is for a person.
        if token.is_new or render.console().is_terminal:
            print(token.address(address), flush=True)
        else:
            print(address, flush=True)
            render.note(f"the token is in {token.path}")
        if not is_loopback(listen):
            render.note("the token crosses the network in the clear: put TLS before this page")

    settings = PageSettings(address=listen, port=port, names=tuple(name or ()))
    with _opened(store) as opened:
        answer(opened, token, settings, clock=_now, ready=ready)
    return 0


def export(*, directory: Path, store: str | None, as_json: bool) -> int:
    """Write the store to Parquet."""
    from device_lab import archive

    with _opened(store) as opened, render.Progress() as progress:
        written = archive.export(opened, directory, _now(), progress=progress.update)
    if as_json:
        render.show_json({"directory": str(directory), "tables": list(written)})
        return 0
    render.show_table(
        str(directory),
        ("file", "rows", "size"),
        [(f"{table.name}.parquet", str(table.rows), size(table.size_bytes)) for table in written],
        right=(1, 2),
    )
    return 0


def check(*, store: str | None, as_json: bool) -> int:
    """Check that the store is sound."""
    with _opened(store) as opened:
        found = opened.integrity_check()
    if as_json:
        render.show_json({"sound": not found, "problems": list(found)})
    else:
        for sentence in found:
            render.say(f"- {sentence}")
        if not found:
            render.say("the store is sound")
    return StorageError.exit_code if found else 0


def backup(*, file: Path, store: str | None, as_json: bool) -> int:
    """Copy an SQLite store to a file."""
    from device_lab import archive

    written = archive.back_up(store_url(store), file)
    if as_json:
        render.show_json({"file": str(file), "size_bytes": written})
    else:
        render.say(f"{file}: {size(written)}; to look into it:")
        render.say(f"  ortlab lab status --store sqlite:///{file}")
    return 0


def baseline(*, job: str, remove: bool, store: str | None, as_json: bool) -> int:
    """Mark a job as a baseline, or no longer."""
    with _opened(store) as opened:
        found = opened.job(job)
        opened.set_baseline(found.job_id, baseline=not remove)
    if as_json:
        render.show_json({"job_id": found.job_id, "baseline": not remove})
    else:
        state = "is no baseline" if remove else "is a baseline: nothing prunes it"
        render.say(f"{found.spec.name} ({found.job_id[:12]}) {state}")
    return 0


def prune(
    *,
    older_than: str | None,
    keep_bytes: str | None,
    dry_run: bool,
    compact: bool,
    store: str | None,
    as_json: bool,
) -> int:
    """Remove what nobody needs, and say what it is."""
    from device_lab import archive

    age = None if older_than is None else _age(older_than)
    kept = None if keep_bytes is None else _size(keep_bytes)
    with _opened(store) as opened:
        plan = archive.plan_prune(
            opened, _now(), older_than=age, keep_bytes=kept, runs=lab_directory() / "runs"
        )
        done = None if dry_run else archive.carry_out(opened, plan)
    sizes = archive.compact(store_url(store)) if compact and not dry_run else None
    if as_json:
        render.show_json({"dry_run": dry_run, "plan": plan, "done": done, "file_bytes": sizes})
        return 0
    _show_plan(plan, dry_run=dry_run)
    if done is not None:
        for sentence in done.kept:
            render.note(f"left: {sentence}")
        if sizes is not None:
            render.say(f"the store's file: {size(sizes[0])} before, {size(sizes[1])} now")
        elif done.blocks:
            render.note("an SQLite file keeps its size until: ortlab lab prune … --compact")
    return 0


def _show_plan(plan: object, *, dry_run: bool) -> None:
    from device_lab.archive import PrunePlan

    assert isinstance(plan, PrunePlan)
    rows = [
        (
            removal.job_name,
            "the whole job" if removal.cell_id is None else f"blocks of {removal.cell_id}",
            f"{removal.last_at:%Y-%m-%d}",
            str(removal.blocks),
            size(removal.size_bytes),
        )
        for removal in plan.removals[:_SHOWN]
    ]
    title = "would be removed" if dry_run else "removed"
    if rows:
        render.show_table(title, ("job", "what", "last", "blocks", "size"), rows, right=(3, 4))
    if len(plan.removals) > _SHOWN:
        render.say(f"and {len(plan.removals) - _SHOWN} more: --json names all")
    render.say(f"{title}: {plan.sentence}")
    if plan.run_directories:
        render.say(f"run directories of this machine: {len(plan.run_directories)}")
    render.say(f"kept as baselines: {plan.baseline_cells} cell(s)")


def _age(text: str) -> timedelta:
    found = _AGE.fullmatch(text.strip())
    if found is None:
        message = f"cannot use --older-than {render.visible(text[:40])}: it is no time span"
        raise UsageError(message, next_step="hours, days or weeks, such as 36h, 90d, 12w")
    return timedelta(hours=float(found[1]) * _HOURS[found[2]])


def _size(text: str) -> int:
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        message = f"cannot use --keep-bytes {render.visible(text[:40])}: it is no size"
        raise UsageError(message, next_step="bytes, or such as 500MB, 10GB, 10GiB")
    unit = found[2] or "B"
    base = 1024 if "i" in unit else 1000
    return int(float(found[1]) * base ** _POWERS.get(unit[0], 0))


@contextlib.contextmanager
def _opened(url: str | None) -> Iterator[LabStore]:
    store = open_store(url)
    try:
        yield store
    finally:
        store.close()


def _now() -> datetime:
    return datetime.now(UTC)
