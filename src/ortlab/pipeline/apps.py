"""Apps that ship the answer: generate → build → deploy."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from ortlab.config import AppSection
from ortlab.errors import OrtlabError, UsageError
from ortlab.pipeline.models import Say, prepared_at
from ortlab.pipeline.places import state_directory
from ortlab.pipeline.reporting import load_measured

if TYPE_CHECKING:
    from ortlab.domain import (
        Analysis,
        AppPlatform,
        AppSpec,
        BuiltApp,
        GeneratedApp,
        PreparedModel,
    )

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
    from ortlab.domain import AppPlatform
    from ortlab.settings import app_spec

    wanted = {
        platform: base / destination
        for platform, destination in (
            (AppPlatform.ANDROID, section.android),
            (AppPlatform.IOS, section.ios),
            (AppPlatform.WEB, section.web),
        )
        if destination is not None
    }
    if not wanted:
        message = "cannot generate an app: no platform is asked for"
        step = "ortlab generate PREPARED --android DIR --ios DIR --web DIR"
        raise UsageError(message, next_step=step)
    prepared, directory = prepared_at(path)
    analysis = _newest_analysis(section, prepared, base) if section.ship == SHIP_AUTO else None
    said: set[str] = set()
    written = []
    for platform, destination in wanted.items():
        spec, notes = app_spec(section, prepared, platform, base=base, analysis=analysis)
        for note in notes:
            if note not in said:
                say(f"note: {note}")
        said.update(notes)
        written.append(_write(platform, prepared, directory, spec, destination))
    return tuple(written)


def _write(
    platform: AppPlatform,
    prepared: PreparedModel,
    directory: Path,
    spec: AppSpec,
    destination: Path,
) -> GeneratedApp:
    from ortlab.domain import AppPlatform

    if platform is AppPlatform.IOS:
        from ortlab.scaffold import generate_ios

        return generate_ios(prepared, directory, spec, destination)
    if platform is AppPlatform.WEB:
        from ortlab.scaffold import generate_web

        return generate_web(prepared, directory, spec, destination)
    from ortlab.scaffold import generate_android

    return generate_android(prepared, directory, spec, destination)


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
    """Build a generated project, of any platform.

    Raises:
        UsageError: There is no project.
        ToolchainError: The build failed; the message gives the cause and the next step.
    """
    from ortlab import build as builders
    from ortlab.process import SystemProcesses

    if builders.is_web_project(project):
        build_project = builders.build_web
    elif builders.is_ios_project(project):
        build_project = builders.build_ios
    elif builders.is_android_project(project):
        build_project = builders.build_android
    else:
        message = f"cannot build {project}: there is no generated project"
        step = f"ortlab generate PREPARED --android {project}, or --ios or --web {project}"
        raise UsageError(message, next_step=step)
    return build_project(
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
        target: A built project, an APK, an `.app` or an `.ipa`.
        device_id: Which phone.
        module: Of the project: ``app`` or ``bench``.
        start: Whether to open it too.
        say: Told where the work stands.

    Raises:
        UsageError: There is no built app, no such device, or the app is for another platform.
        ToolchainError: The app cannot be read, or its signature would be refused.
        DeviceError: The phone is not ready, was lost, or refuses the app.
    """
    from ortlab.build import find_app
    from ortlab.devices import open_phone

    app = find_app(target, module=module)
    _refuse_page(app)
    check_fits(app, device_id, launch=start)
    with closing(open_phone(device_id, state_directory=state_directory(), say=say)) as phone:
        phone.deploy(app, start=start)
    return app


def _refuse_page(app: BuiltApp) -> None:
    from ortlab.domain import AppPlatform

    if app.platform is AppPlatform.WEB:
        page = app.files[0].parent
        message = (
            f"cannot deploy {page}: a page is not installed but put on a web server, which is"
            " yours; it must send the two headers that the project's README.md names"
        )
        step = f"copy {page} there; to try it here: node {page.parent / 'serve.mjs'} {page}"
        raise UsageError(message, next_step=step)


def app_for(device_id: str, targets: Sequence[str]) -> BuiltApp | None:
    """Return the app for a device's platform out of several; None where none was given.

    Raises:
        UsageError: Apps were given, and none or several are for the platform of a phone.
        ToolchainError: One cannot be read, is no benchmark app, or its signature would be refused.
    """
    from ortlab.build import check_benchmark, find_app
    from ortlab.devices import is_virtual, kind_of
    from ortlab.domain import DeviceKind

    apps = [find_app(Path(target)) for target in targets]
    kind = kind_of(device_id)
    fitting = [app for app in apps if app.platform == str(kind)]
    if len(fitting) > 1:
        names = " and ".join(str(app.files[0]) for app in fitting[:2])
        message = f"cannot choose an app for {device_id}: both {names} are for {kind}"
        raise UsageError(message, next_step="give one app a platform")
    if not fitting:
        needs_app = not is_virtual(device_id) and kind is not DeviceKind.WEB
        if apps and needs_app:
            message = f"cannot use {device_id}: no app that was given is for {kind}"
            raise UsageError(message, next_step=f"give --app the app built for {kind}, too")
        return None
    app = fitting[0]
    check_fits(app, device_id)
    if kind is DeviceKind.IOS and not is_virtual(device_id):
        check_benchmark(app)
    return app


def check_fits(app: BuiltApp, device_id: str, *, launch: bool = True) -> None:
    """Hold an app to what a device wants, as far as this machine can tell.

    Raises:
        UsageError: It is for another platform.
        ToolchainError: Its signature would be refused.
    """
    from ortlab.build import check_signature
    from ortlab.devices import is_virtual, kind_of
    from ortlab.domain import AppPlatform

    kind = kind_of(device_id)
    if app.platform != str(kind):
        message = f"cannot put {app.files[0].name} on {device_id}: it is for {app.platform}"
        raise UsageError(message, next_step="ortlab devices")
    if app.platform is AppPlatform.IOS and not is_virtual(device_id):
        check_signature(app, launch=launch, device_id=device_id)
