"""The commands that do everything from one file: what they take, and their help.

Annotations are real ones here, not postponed: Typer would evaluate each string at every start.
"""

from pathlib import Path
from typing import Annotated

import typer

from ortlab.cli.options import AsJson


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (init, run, demo):
        app.command(rich_help_panel="Everything from one file")(command)


def init(
    model: Annotated[Path, typer.Argument(help="The .onnx file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")] = Path(
        "ortlab.toml"
    ),
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
) -> int:
    """Write a commented ortlab.toml for a model.

    [bold]Example[/bold]

      ortlab init model.onnx && ortlab run ortlab.toml
    """
    from ortlab.cli import one_file_commands

    return one_file_commands.init(model=model, output=output, force=force)


def run(
    config: Annotated[Path, typer.Argument(help="The configuration.")] = Path("ortlab.toml"),
    new: Annotated[
        bool, typer.Option("--new", help="Start another run although a finished one exists.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Prepare, measure, report and gate as ortlab.toml says; resumable.

    [bold]Example[/bold]

      ortlab run ortlab.toml
    """
    from ortlab.cli import one_file_commands

    return one_file_commands.run(config=config, new=new, as_json=as_json)


def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Directory for everything it writes.")
    ] = Path("demo"),
    new: Annotated[
        bool, typer.Option("--new", help="Start another run although a finished one exists.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Prepare, measure and report a trained mobile model on this machine.

    The model is PP-OCR's text-direction classifier, with its input fixed to 1x3x48x192.
    """
    from ortlab.cli import one_file_commands

    return one_file_commands.demo(output=output, new=new, as_json=as_json)
