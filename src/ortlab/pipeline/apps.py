"""Apps that ship the answer: generate → build → deploy."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from ortlab.config import AppSection
from ortlab.errors import OrtlabError, UsageError
from ortlab.pipeline.models import Say, prepared_at
from ortlab.pipeline.places import state_directory
from ortlab.pipeline.reporting import load_measured

if TYPE_CHECKING:
    from ortlab.domain import Analysis, BuiltApp, GeneratedApp, PreparedModel

SHIP_AUTO = "auto"


def generate(path: Path, section: AppSection, *, base: Path, say: Say) -> tuple[GeneratedApp, ...]:
    """Write the projects that a section asks for.

    Args:
        path: A prepared directory.
        section: What the apps are; relative paths in it start from ``base``.
        base: Directory.
        say: Told of what was decided.

    Raises:
        UsageError: No platform is asked for, or a word means nothing.
        ModelError: The platform cannot take the model; the reason is given.
        StorageError: The project cannot be written.
    """
    from ortlab.scaffold import generate_android
    from ortlab.settings import app_spec

    if section.android is None:
        message = "cannot generate an app: no platform is asked for"
        raise UsageError(message, next_step="ortlab generate PREPARED --android DIR")
    prepared, directory = prepared_at(path)
    analysis = _newest_analysis(section, prepared, base) if section.ship == SHIP_AUTO else None
    spec, notes = app_spec(section, prepared, base=base, analysis=analysis)
    for note in notes:
        say(f"note: {note}")
    return (generate_android(prepared, directory, spec, base / section.android),)


def _newest_analysis(section: AppSection, prepared: PreparedModel, base: Path) -> Analysis | None:
    """Return what the newest readable run of this prepared model says."""
    root = base / section.runs
    found = []
    for directory in root.iterdir() if root.is_dir() else ():
        try:
            run, analysis = load_measured(directory)
        except OrtlabError:
            continue
        same = {variant.sha256 for variant in prepared.variants}
        if any(arm.model_sha256 in same for arm in run.experiment.arms):
            found.append((run.experiment.created_at, run.experiment.experiment_id, analysis))
    return max(found, key=lambda item: item[:2])[2] if found else None


def build(project: Path, *, module: str, variant: str, deadline_s: float, say: Say) -> BuiltApp:
    """Build a generated project.

    Raises:
        UsageError: There is no project.
        ToolchainError: The build failed; the message gives the cause and the next step.
    """
    from ortlab.build import build_android
    from ortlab.process import SystemProcesses

    return build_android(
        project,
        module=module,
        variant=variant,
        deadline_s=deadline_s,
        processes=SystemProcesses(),
        say=say,
    )


def deploy(target: Path, device_id: str, *, module: str, start: bool, say: Say) -> BuiltApp:
    """Install an app on a phone.

    Args:
        target: A built project, or an APK.
        device_id: Which phone.
        module: Of the project: ``app`` or ``bench``.
        start: Whether to open it too.
        say: Told where the work stands.

    Raises:
        UsageError: There is no built app, or no such device.
        DeviceError: The phone is not ready, was lost, or refuses the app.
    """
    from ortlab.build import find_app
    from ortlab.devices import open_phone

    app = find_app(target, module=module)
    with closing(open_phone(device_id, state_directory=state_directory(), say=say)) as phone:
        phone.deploy(app, start=start)
    return app
