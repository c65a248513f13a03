"""What `generate`, `build` and `deploy` do: call `pipeline`, then show the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from ortlab import pipeline
from ortlab.cli import render, tables
from ortlab.config import AppSection, load_config
from ortlab.domain import AppPlatform, BuiltApp, GeneratedApp
from ortlab.errors import UsageError


def generate(
    *,
    prepared: Path,
    android: Path | None,
    ios: Path | None,
    web: Path | None,
    web_ep: Sequence[str] | None,
    service_worker: bool | None,
    config: Path | None,
    custom_ops: Sequence[str] | None,
    as_json: bool,
    **words: str | None,
) -> int:
    """Write projects; what the command line says wins over the configuration."""
    section, base = AppSection(), Path()
    if config is not None:
        section, base = load_config(config).app or section, config.parent
    said: dict[str, Any] = {
        field: words[option]
        for option, field in (
            ("name", "name"),
            ("application_id", "id"),
            ("ship", "ship"),
            *((word, word) for word in ("ort_android", "ort_ios", "ort_ios_checksum", "team")),
        )
        if words[option] is not None
    }
    for platform, directory in (("android", android), ("ios", ios), ("web", web)):
        if directory is not None:
            said[platform] = str(directory.absolute())
    if custom_ops:
        libraries = dict(_by_abi(text) for text in custom_ops)
        said["custom_ops"] = {**section.custom_ops, **libraries}
    if web_ep:
        said["web_ep"] = tuple(part for text in web_ep for part in text.split(","))
    if service_worker is not None:
        said["service_worker"] = service_worker
    written = pipeline.generate(prepared, replace(section, **said), base=base, say=render.note)
    if as_json:
        render.show_json({"apps": list(written)})
        return 0
    for app in written:
        show_generated(app)
    return 0


def _by_abi(text: str) -> tuple[str, str]:
    abi, equals, path = text.partition("=")
    if not equals or not abi or not path:
        message = f"cannot use --custom-ops {text!r}: it is ABI=FILE, such as arm64-v8a=libops.so,"
        message += " or ios=Ops.xcframework"
        raise UsageError(message)
    return abi, str(Path(path).absolute())


_OTHER_WAYS: Final = {
    AppPlatform.ANDROID: "open it in Android Studio",
    AppPlatform.IOS: "open it in Xcode",
    AppPlatform.WEB: "npm ci and npm run dev in it",
}


def show_generated(app: GeneratedApp) -> None:
    """Print what was written and what was left alone."""
    for path in app.kept:
        render.say(f"left alone, you changed it: {path}")
    for note in app.notes:
        render.say(f"note: {note}")
    count = len(app.written)
    what = "everything was up to date" if not count else f"{count} files written"
    render.say(f"{app.spec.name} ({app.spec.application_id}): {what} in {app.directory}")
    editor = _OTHER_WAYS[app.platform]
    render.say(f"next: ortlab build {app.directory}, or {editor}")


def build(*, project: Path, module: str, variant: str, deadline_s: float, as_json: bool) -> int:
    """Build a project."""
    with render.Progress() as progress:
        app = pipeline.build(
            project, module=module, variant=variant, deadline_s=deadline_s, say=progress.update
        )
    if as_json:
        render.show_json(app)
        return 0
    show_app(app)
    if app.platform is AppPlatform.WEB:
        page = app.files[0].parent
        render.say(f"next: npm run serve in {project.absolute()}, and open the address it names;")
        render.say(f"or copy {page} to a web server that sends the headers README.md names;")
        render.say(f"or ortlab bench PREPARED --device web --app {project}")
        return 0
    option = " --module bench" if module == "bench" else ""
    device = "UDID" if app.platform is AppPlatform.IOS else "SERIAL"
    deploy_it = f"ortlab deploy {project}{option} --device {device}"
    render.say(f"next: {deploy_it} (ortlab devices lists them)")
    return 0


def deploy(*, target: Path, device: str, module: str, start: bool, as_json: bool) -> int:
    """Install an app."""
    with render.Progress() as progress:
        app = pipeline.deploy(target, device, module=module, start=start, say=progress.update)
    if as_json:
        render.show_json(app)
    else:
        render.say(f"{app.application_id} {app.version_name} is on {device}")
    return 0


def show_app(app: BuiltApp) -> None:
    """Print what was built, part by part."""
    total = sum(app.size_by_part.values())
    render.show_table(
        f"{app.application_id} {app.version_name} ({app.version_code})",
        ("part", "size"),
        [
            *((part, tables.size(size)) for part, size in app.size_by_part.items()),
            ("all", tables.size(total)),
        ],
        right=(1,),
    )
    web = app.platform is AppPlatform.WEB
    for path in (app.files[0].parent,) if web else app.files:
        render.say(str(path))
    kind = "debuggable" if app.debuggable else "release"
    if web:
        render.say(f"{kind}, sha256 {app.sha256[:16]}")
        return
    if app.platform is AppPlatform.IOS:
        signed = "signed" if app.signed else "not signed"
        render.say(f"{signed}, iOS {app.minimum_os or 'any'} or later")
    render.say(f"{kind}, ABIs: {', '.join(app.abis) or 'any'}, sha256 {app.sha256[:16]}")
