"""The commands that set a lab up, run its phones and give it work."""

import typer


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    phones = typer.Typer(help="The lab's phones.", no_args_is_help=False)
    app.add_typer(phones, name="phones")
