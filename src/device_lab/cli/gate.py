"""The commands that judge a night and show a model's history."""

import typer


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    assert app is not None
