"""The commands that show, export and keep what the lab knows.

Annotations are real ones here, not postponed: Typer would evaluate each string at every start.
"""

from pathlib import Path
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Answer as JSON on standard output.")]
Store = Annotated[
    str | None,
    typer.Option("--store", help="The store's URL; else ORTLAB_LAB_STORE, lab.toml, a file."),
]
_ANSWERS = "Answers"
_UPKEEP = "Upkeep"


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(rich_help_panel=_ANSWERS)(serve)
    app.command(rich_help_panel=_ANSWERS)(export)
    app.command(rich_help_panel=_UPKEEP)(check)
    app.command(rich_help_panel=_UPKEEP)(backup)
    app.command(rich_help_panel=_UPKEEP)(baseline)
    app.command(rich_help_panel=_UPKEEP)(prune)


def serve(
    listen: Annotated[
        str, typer.Option(help="Address to listen at; 0.0.0.0 opens the page to the network.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8471,
    name: Annotated[
        list[str] | None,
        typer.Option(help="A further name under which the page answers, such as a proxy's."),
    ] = None,
    new_token: Annotated[
        bool, typer.Option("--new-token", help="Replace the token; old cookies open nothing.")
    ] = False,
    store: Store = None,
) -> int:
    """Show the lab as a small page: queue, phones, verdicts, histories. It takes nothing.

    Only who has the token sees it. The address with the token is printed when the token is made,
    and whenever a person starts the page in a terminal.

    [bold]Examples[/bold]

      ortlab lab serve

      ortlab lab serve --listen 0.0.0.0 --name lab.example   # behind a proxy with TLS

      curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8471/api/overview
    """
    given = dict(locals())
    from device_lab.cli import answer_commands

    return answer_commands.serve(**given)


def export(
    directory: Annotated[Path, typer.Argument(help="A new directory.", show_default=False)],
    store: Store = None,
    as_json: AsJson = False,
) -> int:
    """Write everything in the store to Parquet files, while the lab goes on.

    [bold]Example[/bold]

      ortlab lab export lab-2026-11
    """
    given = dict(locals())
    from device_lab.cli import answer_commands

    return answer_commands.export(**given)


def check(store: Store = None, as_json: AsJson = False) -> int:
    """Check that the store is sound; exit code 9 if it is not.

    [bold]Example[/bold]

      ortlab lab check
    """
    given = dict(locals())
    from device_lab.cli import answer_commands

    return answer_commands.check(**given)


def backup(
    file: Annotated[Path, typer.Argument(help="A new file.", show_default=False)],
    store: Store = None,
    as_json: AsJson = False,
) -> int:
    """Copy an SQLite store to one file, while the lab goes on; for PostgreSQL, use pg_dump.

    The copy opens as a store: ortlab lab status --store sqlite:///COPY

    [bold]Example[/bold]

      ortlab lab backup lab-2026-11-21.db
    """
    given = dict(locals())
    from device_lab.cli import answer_commands

    return answer_commands.backup(**given)


def baseline(
    job: Annotated[
        str,
        typer.Argument(help="Id, beginning of an id, or name of a job.", show_default=False),
    ],
    remove: Annotated[bool, typer.Option("--remove", help="It is one no longer.")] = False,
    store: Store = None,
    as_json: AsJson = False,
) -> int:
    """Mark a job as a baseline, which nothing ever prunes, such as a release's.

    [bold]Examples[/bold]

      ortlab lab baseline release-2.4

      ortlab lab baseline release-2.3 --remove
    """
    given = dict(locals())
    from device_lab.cli import answer_commands

    return answer_commands.baseline(**given)


def prune(
    older_than: Annotated[
        str | None, typer.Option(help="Jobs in which nothing happened for so long: 90d, 12w.")
    ] = None,
    keep_bytes: Annotated[
        str | None, typer.Option(help="Blocks, oldest first, until so much stays: 10GB, 500MB.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be removed.")
    ] = False,
    compact: Annotated[
        bool, typer.Option("--compact", help="Then give SQLite's free space back to the disk.")
    ] = False,
    store: Store = None,
    as_json: AsJson = False,
) -> int:
    """Remove what nobody needs, by age and size, and say what it is. Baselines never go.

    A baseline is the newest result of its model, phone and control arm, and every job that was
    marked with `ortlab lab baseline`. By age whole jobs go; by size only blocks do, so that
    histories stay.

    [bold]Examples[/bold]

      ortlab lab prune --older-than 90d --dry-run

      ortlab lab prune --older-than 90d --keep-bytes 10GB --compact
    """
    given = dict(locals())
    from device_lab.cli import answer_commands

    return answer_commands.prune(**given)
