"""The commands that show, export and keep what the lab knows."""

import typer


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    assert app is not None
