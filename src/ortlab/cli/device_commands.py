"""What `calibrate`, `devices` and `doctor` do: call `pipeline`, then show the answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ortlab import pipeline
from ortlab.cli import render


def calibrate(*, prepared: Path, device: str, as_json: bool, **options: Any) -> int:
    """Measure and store a noise floor."""
    with render.Progress() as progress:
        floor = pipeline.calibrate(
            prepared,
            device_id=device,
            experiments=options["experiments"],
            rounds=options["rounds"],
            block_s=options["block_s"],
            apps=[options["app_"]] if options["app_"] else [],
            output=options["output"],
            say=progress.update,
        )
    if as_json:
        render.show_json(floor)
    else:
        render.say(
            f"the noise floor of {device} is {floor.effect:.2%}: no smaller difference will be"
            f" claimed there ({floor.experiments} A/A experiments of {floor.rounds} rounds)"
        )
    return 0


def devices(*, as_json: bool) -> int:
    """List the devices."""
    found = pipeline.devices(say=render.note)
    if as_json:
        render.show_json({"devices": list(found)})
        return 0
    render.show_table(
        "devices",
        ("id", "name", "ready", "seen", "next step"),
        [
            (device.device_id, device.name, _yes(device.ready), device.detail, device.next_step)
            for device in found
        ],
    )
    return 0


def _yes(answer: bool) -> str:
    return "yes" if answer else "no"


def doctor(*, as_json: bool) -> int:
    """Tell what is there and what is missing; 4 when something needed is missing."""
    from ortlab.doctor import State, worst
    from ortlab.errors import ToolchainError

    findings = pipeline.doctor()
    if as_json:
        render.show_json({"findings": list(findings)})
    else:
        render.show_table(
            "this machine",
            ("what", "state", "seen", "next step"),
            [(f.subject, str(f.state), f.detail, f.next_step) for f in findings],
        )
    return ToolchainError.exit_code if worst(findings) is State.MISSING else 0
