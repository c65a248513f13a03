"""What the commands' options have in common."""

from collections.abc import Sequence
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Answer as JSON on standard output.")]


def listed(values: Sequence[str] | None) -> tuple[str, ...]:
    """Flatten repeated and comma-separated options."""
    parts = (part.strip() for value in values or () for part in value.split(","))
    return tuple(part for part in parts if part)
