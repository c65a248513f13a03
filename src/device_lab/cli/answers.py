"""The commands that show, export and keep what the lab knows.

Annotations are real ones here, not postponed: Typer would evaluate each string at every start.
"""

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Answer as JSON on standard output.")]
Store = Annotated[
    str | None,
    typer.Option("--store", help="The store's URL; else ORTLAB_LAB_STORE, lab.toml, a file."),
]
_PANEL = "Answers"


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(rich_help_panel=_PANEL)(serve)


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
) -> None:
    """Show the lab as a small page: queue, phones, verdicts, histories. It only shows.

    Example: ortlab lab serve, then open the address that it prints.
    """
    import datetime as dt

    from device_lab import serve as page
    from device_lab.serve.access import is_loopback
    from device_lab.settings import lab_directory, open_store
    from ortlab.cli import render

    token = page.page_token(lab_directory(), new=new_token)
    settings = page.PageSettings(address=listen, port=port, names=tuple(name or ()))

    def ready(address: str) -> None:
        # What is kept in a journal opens nothing: an address with the token is for a person.
        if render.console().is_terminal or token.is_new:
            print(token.address(address), flush=True)
        else:
            print(address, flush=True)
            render.note(f"the token is in {token.path}")
        if not is_loopback(listen):
            render.note("the token crosses the network in the clear: put TLS before this page")

    opened = open_store(store)
    try:
        page.serve(
            opened,
            token,
            settings,
            clock=lambda: dt.datetime.now(dt.UTC),
            ready=ready,
        )
    finally:
        opened.close()
