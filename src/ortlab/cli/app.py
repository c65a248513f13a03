"""The command line's own options, its commands by panel, and those of other packages.

Nothing heavy is imported up here. Annotations are real ones, not postponed: Typer would evaluate
each string at every start.
"""

import sys
from typing import Annotated

import typer

from ortlab.cli import devices, one_file, plugins, to_app, to_report

app = typer.Typer(
    name="ortlab",
    help="From model.onnx to a trustworthy latency answer, and to an app that ships it.",
    epilog="Start with: ortlab demo, or: ortlab init MODEL.onnx && ortlab run ortlab.toml",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from ortlab import __version__

        typer.echo(f"ortlab {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log every program that is started.")
    ] = False,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    if verbose:
        import logging

        logging.basicConfig(level=logging.DEBUG, format="%(name)s: %(message)s")


for panel in (to_report, to_app, devices, one_file):  # in the order of the help
    panel.add_to(app)
plugins.add_to(app, sys.path)
