"""The commands from a prepared model to an app: what they take, and their help.

Annotations are real ones here, not postponed: Typer would evaluate each string at every start.
"""

from pathlib import Path
from typing import Annotated

import typer

from ortlab.cli.options import AsJson


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (generate, build, deploy):
        app.command(rich_help_panel="From model to app")(command)


def generate(
    prepared: Annotated[Path, typer.Argument(help="A prepared directory.", show_default=False)],
    android: Annotated[
        Path | None, typer.Option(help="Directory of the Android project.", show_default=False)
    ] = None,
    ios: Annotated[
        Path | None, typer.Option(help="Directory of the iOS project.", show_default=False)
    ] = None,
    web: Annotated[
        Path | None, typer.Option(help="Directory of the web project.", show_default=False)
    ] = None,
    name: Annotated[str | None, typer.Option(help="Of the app; the model's if left out.")] = None,
    application_id: Annotated[
        str | None, typer.Option("--id", help="Such as com.example.reader.")
    ] = None,
    ship: Annotated[
        str | None,
        typer.Option(help="fixed, runtime, both, or auto: what the newest run recommends."),
    ] = None,
    ort_android: Annotated[
        str | None, typer.Option(help="ONNX Runtime: a release, or the path of an AAR.")
    ] = None,
    ort_ios: Annotated[
        str | None,
        typer.Option(help="ONNX Runtime: a release, or the path of a podspec or XCFramework."),
    ] = None,
    ort_ios_checksum: Annotated[
        str | None, typer.Option(help="SHA-256 of that release's archive, for Swift packages.")
    ] = None,
    team: Annotated[
        str | None, typer.Option(help="Apple developer team that signs, such as A1B2C3D4E5.")
    ] = None,
    custom_ops: Annotated[
        list[str] | None,
        typer.Option(
            help="Library of custom operators by ABI: arm64-v8a=libops.so, ios=Ops.xcframework"
        ),
    ] = None,
    web_ep: Annotated[
        list[str] | None,
        typer.Option(help="wasm, webgpu or webnn, the best first; only theirs is shipped."),
    ] = None,
    service_worker: Annotated[
        bool | None,
        typer.Option(help="Whether the page keeps its files in the browser.", show_default=False),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="ortlab.toml whose \\[app] says more: pictures, labels, state."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Write Android, iOS and web projects with a typed SDK, a starter app and a benchmark app.

    Again over the same directory it renews what it wrote and leaves alone what you changed.

    [bold]Examples[/bold]

      ortlab generate prepared/cls --android android --name Reader --id com.example.reader

      ortlab generate prepared/cls --android android --config ortlab.toml --ship auto

      ortlab generate prepared/cls --android android --ios ios --team A1B2C3D4E5

      ortlab generate prepared/cls --web web --web-ep webgpu --web-ep wasm
    """
    given = dict(locals())
    from ortlab.cli import app_commands

    return app_commands.generate(**given)


def build(
    project: Annotated[Path, typer.Argument(help="A generated project.", show_default=False)],
    module: Annotated[str, typer.Option(help="app, or bench: the benchmark app.")] = "app",
    debug: Annotated[
        bool, typer.Option("--debug", help="Debuggable; its measurements earn at most grade C.")
    ] = False,
    deadline_s: Annotated[float, typer.Option(help="Total time allowed.", min=1)] = 3600.0,
    as_json: AsJson = False,
) -> int:
    """Build a generated project with its own Gradle, with Xcode on a Mac, or with npm.

    [bold]Examples[/bold]

      ortlab build android

      ortlab build ios --module bench

      ortlab build web
    """
    from ortlab.cli import app_commands

    return app_commands.build(
        project=project,
        module=module,
        variant="debug" if debug else "release",
        deadline_s=deadline_s,
        as_json=as_json,
    )


def deploy(
    target: Annotated[
        Path, typer.Argument(help="A built project, an APK, .app or .ipa.", show_default=False)
    ],
    device: Annotated[str, typer.Option("--device", "-d", help="Which phone: serial or UDID.")],
    module: Annotated[str, typer.Option(help="app, or bench: the benchmark app.")] = "app",
    start: Annotated[bool, typer.Option(help="Open the app on the phone.")] = True,
    as_json: AsJson = False,
) -> int:
    """Install an app on a phone, and open it.

    [bold]Examples[/bold]

      ortlab deploy android --device R58M123ABC

      ortlab deploy App.ipa --device 00008110-001A2B3C4D5E6F70
    """
    from ortlab.cli import app_commands

    return app_commands.deploy(
        target=target, device=device, module=module, start=start, as_json=as_json
    )
