"""The commands about devices and this machine: what they take, and their help.

Annotations are real ones here, not postponed: Typer would evaluate each string at every start.
"""

from pathlib import Path
from typing import Annotated

import typer

from ortlab.cli.options import AsJson


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (calibrate, devices, doctor):
        app.command(rich_help_panel="Devices")(command)


def calibrate(
    prepared: Annotated[Path, typer.Argument(help="A prepared directory, or an .onnx file.")],
    device: Annotated[str, typer.Option("--device", "-d", help="Which device.")] = "host",
    experiments: Annotated[int, typer.Option(help="A/A experiments.", min=20)] = 20,
    rounds: Annotated[int, typer.Option(help="Rounds of each.", min=8)] = 12,
    block_s: Annotated[float, typer.Option(help="Measured time of a block.", min=0.05)] = 2.0,
    app_: Annotated[
        str | None,
        typer.Option(
            "--app", help="Benchmark app for phones: a built project, an APK, .app or .ipa."
        ),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory of the runs.")] = Path(
        "runs"
    ),
    as_json: AsJson = False,
) -> int:
    """Measure a device's noise floor: the smallest difference that may be claimed there.

    [bold]Example[/bold]

      ortlab calibrate prepared/cls --device host
    """
    given = dict(locals())
    from ortlab.cli import device_commands

    return device_commands.calibrate(**given)


def devices(as_json: AsJson = False) -> int:
    """List what is attached and whether it is ready."""
    from ortlab.cli import device_commands

    return device_commands.devices(as_json=as_json)


def doctor(as_json: AsJson = False) -> int:
    """Tell which tools are there, what is missing, and what installs it."""
    from ortlab.cli import device_commands

    return device_commands.doctor(as_json=as_json)
