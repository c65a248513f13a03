"""What the commands about phones do; see `device_lab.cli.lab`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from device_lab.cli.context import opened_store, settings_with, shown_progress, utc_now
from device_lab.settings import LabSettings
from device_lab.settings import host_id as name_of_host
from ortlab.cli import render
from ortlab.codec import to_plain
from ortlab.errors import UsageError

if TYPE_CHECKING:
    from device_lab.store import LabStore
    from device_lab.values import KnownPhone


def list_phones(*, store: str | None, as_json: bool) -> int:
    """List the phones."""
    from device_lab import wording

    with opened_store(store) as opened:
        overview = opened.overview(utc_now())
    if as_json:
        render.show_json({"phones": [to_plain(known) for known in overview.phones]})
        return 0
    socs = {known.phone.phone_id: known.phone.soc or "" for known in overview.phones}
    rows = wording.phone_rows(overview, utc_now())
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
    with opened_store(store) as opened:
        known = _phone(opened, phone)
        sentence = "by word"
        if probe:
            sentence = _probe(
                opened, known, settings_with(host_id, device, host_device=host_device)
            )
        opened.release_phone(known.phone.phone_id, utc_now())
    return _changed(known, f"released from {known.state}: {sentence}", as_json=as_json)


def _probe(store: LabStore, known: KnownPhone, settings: LabSettings) -> str:
    from device_lab.inventory import Inventory
    from device_lab.probing import probe

    with shown_progress() as say:
        inventory = Inventory(name_of_host(settings), settings.devices, say=say)
        return probe(store, inventory, known.phone.phone_id, utc_now(), say)


def quarantine(*, phone: str, reason: str, store: str | None, as_json: bool) -> int:
    """Give a phone no further work."""
    with opened_store(store) as opened:
        known = _phone(opened, phone)
        opened.quarantine(known.phone.phone_id, reason, utc_now())
    return _changed(known, f"in quarantine: {reason}", as_json=as_json)


def label(*, phone: str, labels: Sequence[str], store: str | None, as_json: bool) -> int:
    """Label a phone."""
    for text in labels:
        if not text.strip() or not text.isprintable() or len(text) > 100:
            message = f"cannot use {text!r} as a label"
            raise UsageError(message, next_step="up to 100 printable characters")
    with opened_store(store) as opened:
        known = _phone(opened, phone)
        opened.label(known.phone.phone_id, sorted(set(labels)), utc_now())
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
