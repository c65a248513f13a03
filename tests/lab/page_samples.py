"""A lab with something to show: phones in every state, jobs in every state, nights of results."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from device_lab.store import LabStore
from device_lab.values import CellResult, Comparison, JobSpec, LabPhone, Outcome, Requirements
from ortlab.domain import DeviceInfo, DeviceKind

NOW = datetime(2026, 11, 21, 6, 30, tzinfo=UTC)
HOSTILE = (
    "<script>window.__pwned=1</script>\"'><img src=x onerror=window.__pwned=2>",
    "\u202egnp.exe \u2066\u200b\x1b[31mred\x07\r\n::error::\x00",
    "]]></title></style></svg><svg/onload=window.__pwned=3>",
    "{{7*7}}{% raw %} javascript:window.__pwned=4 &lt;b&gt;",
    "n" * 10_000,
    "שלום עולם مرحبا 日本語 👩‍🔬",
)


def make_phone(phone_id: str, **changes: Any) -> LabPhone:
    name = str(changes.pop("name", phone_id))
    virtual = bool(changes.pop("virtual", False))
    info = DeviceInfo(
        device_id=phone_id,
        kind=DeviceKind.ANDROID,
        name=name,
        os_version=str(changes.pop("os_version", "Android 14")),
        architecture="arm64-v8a",
        cpu="8 cores",
        memory_bytes=8 << 30,
        ort_version="1.20.0",
        available_providers=("CPUExecutionProvider",),
        virtual=virtual,
    )
    values: dict[str, object] = {
        "phone_id": phone_id,
        "host_id": "rack-1",
        "info": info,
        "soc": "SM8650",
        "labels": ("rack-1", "fast"),
        "battery_percent": 90.0,
        "temperature_c": 25.4,
        "free_bytes": 10 << 30,
        "noise_floor": 0.012,
        "seen_at": NOW,
    }
    return LabPhone(**{**values, **changes})


def make_result(
    cell_id: str,
    job_id: str,
    phone: LabPhone,
    model_name: str,
    at: datetime,
    *,
    ratio: float = 1.0,
    arm: str = "new",
    control: str = "c" * 64,
) -> CellResult:
    log = math.log(ratio)
    verdict = "slower" if ratio > 1.02 else "faster" if ratio < 0.98 else "equivalent"
    comparison = Comparison(
        arm=arm,
        baseline="base",
        ratio=ratio,
        low=ratio * 0.995,
        high=ratio * 1.005,
        verdict=verdict,
        sentence=f"{arm} is {verdict}",
        log_ratios=tuple(log + 0.002 * (index % 5 - 2) for index in range(12)),
    )
    return CellResult(
        cell_id=cell_id,
        job_id=job_id,
        model=f"prepared/{model_name}",
        model_name=model_name,
        phone_id=phone.phone_id,
        phone_name=phone.info.name,
        virtual=phone.info.virtual,
        finished_at=at,
        control=control,
        control_label="base",
        trust="A",
        comparisons=(comparison,),
        sentences=(comparison.sentence,),
    )


def measure(
    store: LabStore,
    phone: LabPhone,
    spec: JobSpec,
    at: datetime,
    *,
    model_name: str,
    ratio: float = 1.0,
    arm: str = "new",
    blocks: int = 2,
    line: str = "{}",
) -> str:
    """Carry a job of one model out on a phone and return the job's id."""
    job_id = store.submit(spec, at)
    seen = [replace(phone, seen_at=at)]
    store.see_phones(phone.host_id, seen, at)
    lease = store.claim("agent-1", phone.phone_id, at)
    assert lease is not None
    store.begin_experiment(lease, "{}", at)
    for index in range(blocks):
        store.record_block(lease, f"b{index}", line, at)
    end = at + timedelta(seconds=60)
    result = make_result(
        lease.cell_id, job_id, phone, model_name, end, ratio=ratio, arm=arm
    )  # fmt: skip
    store.finish(lease, Outcome.DONE, end, result=result)
    return job_id


def nights(
    store: LabStore, phone: LabPhone, model_name: str, ratios: list[float], *, name: str = "nightly"
) -> None:
    """Store a night for each ratio; the last one ended a few hours before `NOW`."""
    for index, ratio in enumerate(ratios):
        at = NOW - timedelta(days=len(ratios) - 1 - index, hours=3)
        spec = JobSpec(name=f"{name} {index}", models=(f"prepared/{model_name}",))
        measure(store, phone, spec, at, model_name=model_name, ratio=ratio)


def fill(store: LabStore) -> None:
    """Make a lab in which everything has happened once."""
    pixel = make_phone("a-pixel", name="Pixel 9 Pro")
    ratios = [1.001, 0.997, 1.004, 0.999, 1.002, 0.996, 1.003, 1.0, 0.998, 1.002, 1.001, 1.031]
    nights(store, pixel, "reader", ratios)
    phones = [
        pixel,
        make_phone("b-galaxy", name="Galaxy S24", battery_percent=12.0),
        make_phone("c-moto", name="Moto G", temperature_c=41.0, battery_percent=55.0),
        make_phone("d-virtual", name="Virtual phone", virtual=True, battery_percent=None),
        make_phone("e-old", name="Nokia", os_version="Android 9", noise_floor=None),
    ]
    store.see_phones("rack-1", phones, NOW)
    store.quarantine("e-old", "3 attempts failed in a row: the app crashed (SIGSEGV)", NOW)
    waits = Requirements(phone_count=2)
    store.submit(
        JobSpec(name="release 4.2", models=("prepared/reader", "prepared/detector"), priority=5,
                deadline=NOW + timedelta(hours=2), requirements=waits), NOW - timedelta(minutes=20),
    )  # fmt: skip
    lease = store.claim("agent-1", "a-pixel", NOW)
    assert lease is not None
    impossible = Requirements(soc="A17 Pro", phone_count=3)
    store.submit(
        JobSpec(name="only on iPhones", models=("prepared/reader",), requirements=impossible), NOW
    )
    cancelled = store.submit(JobSpec(name="a mistake", models=("prepared/x",)), NOW)
    store.cancel(cancelled, NOW)
    failing = JobSpec(name="broken model", models=("prepared/broken",), retries=0, priority=9)
    store.submit(failing, NOW)
    broken = store.claim("agent-1", "d-virtual", NOW)
    assert broken is not None
    store.finish(broken, Outcome.FAILED, NOW, reason="the session could not be created: no kernel")


def fill_hostile(store: LabStore) -> None:
    """Make a lab in which every name is an attack."""
    phones = [
        make_phone(text, name=text, os_version=text, soc=text, labels=(text,), host_id="h")
        for text in HOSTILE
    ]
    for phone, text in zip(phones, HOSTILE, strict=True):
        for night in range(2):
            spec = JobSpec(name=text[:900], models=(text,), retries=night)
            at = NOW - timedelta(days=2 - night)
            measure(store, phone, spec, at, model_name=text, arm=text, ratio=1.01)
    store.see_phones("h", phones, NOW)
    store.quarantine(HOSTILE[0], HOSTILE[4], NOW)
    store.quarantine(HOSTILE[1], HOSTILE[0], NOW)
    store.submit(
        JobSpec(name=HOSTILE[0], models=HOSTILE, requirements=Requirements(soc=HOSTILE[2])), NOW
    )
