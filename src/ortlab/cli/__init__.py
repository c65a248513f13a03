"""The command line: parse → pipeline → render.

Standard output carries the answer (a table, or JSON with ``--json``); progress, warnings and
errors go to standard error. Exit codes: see ``errors.py``.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence


def main() -> None:
    """Run the command line of this process and exit with its code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line.

    Args:
        arguments: Without the program's name.

    Returns:
        The exit code; see ``errors.py``.
    """
    import typer

    from ortlab.cli import render
    from ortlab.cli.app import app
    from ortlab.errors import BUG_EXIT_CODE, InterruptedRunError, OrtlabError

    signal.signal(signal.SIGTERM, _interrupt)
    as_json = "--json" in arguments
    try:
        answer = app(list(arguments), standalone_mode=False)
    except OrtlabError as error:
        render.show_error(error, as_json=as_json)
        return error.exit_code
    except typer.TyperException as error:
        error.show()
        return 2
    except (KeyboardInterrupt, typer.Abort):
        stopped = InterruptedRunError("stopped; what was finished is kept")
        render.show_error(stopped, as_json=as_json)
        return stopped.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        render.show_bug(error, as_json=as_json)
        return BUG_EXIT_CODE
    return answer if isinstance(answer, int) else 0


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt
