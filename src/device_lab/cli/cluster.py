"""The commands of a lab that spans hosts."""

import typer


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    assert app is not None
