"""The commands of a lab that spans hosts."""

from datetime import UTC, datetime
from typing import Annotated

import typer

WithoutTls = Annotated[
    bool,
    typer.Option(
        "--without-tls",
        help="Do without TLS beyond loopback: whoever reaches it runs programs here.",
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(scheduler)


def scheduler(
    listen: Annotated[
        str, typer.Option(help="HOST:PORT, or with tcp:// or tls://; port 0 takes a free one.")
    ] = "127.0.0.1:8786",
    store: Annotated[
        str | None, typer.Option(help="URL of the lab's store.", show_default=False)
    ] = None,
    dashboard: Annotated[
        str | None,
        typer.Option(help="HOST:PORT for Dask's own pages, which need bokeh.", show_default=False),
    ] = None,
    without_tls: WithoutTls = False,
) -> int:
    """Give open cells to the phones of all agents, until Ctrl-C.

    It keeps nothing of its own: stop it, or let it crash, and start it again whenever you like.
    TLS is Dask's own: name certificates in its configuration, distributed.comm.tls.

    [bold]Examples[/bold]

      ortlab lab scheduler

      ortlab lab scheduler --listen tls://0.0.0.0:8786
    """
    from device_lab.cluster import SchedulerOptions, run_scheduler
    from device_lab.settings import load_settings, open_store

    def tell(address: str) -> None:
        typer.echo(f"listening on {address}")
        typer.echo(f"on each host: ortlab lab agent --scheduler {address}", err=True)

    options = SchedulerOptions(
        listen=listen,
        dashboard=dashboard,
        without_tls=without_tls,
        limits=load_settings().limits,
    )
    opened = open_store(store)
    try:
        run_scheduler(opened, options, clock=_utc_now, on_start=tell)
    finally:
        opened.close()
    return 0


def _utc_now() -> datetime:
    return datetime.now(UTC)
