"""The command line: parse → pipeline → render.

Standard output carries the answer (a table, or JSON with ``--json``); progress, warnings and
errors go to standard error. Exit codes: see ``errors.py``.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ortlab.errors import OrtlabError


def main() -> None:
    """Run the command line of this process and exit with its code."""
    # Loading makes many objects that stay; looking through them again and again takes a tenth.
    gc.set_threshold(50_000, 20, 20)
    code = run(sys.argv[1:])
    # The interpreter looks through all of it twice more when it ends, in vain.
    gc.freeze()
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command line.

    Args:
        arguments: Without the program's name.

    Returns:
        The exit code; see ``errors.py``.
    """
    if arguments[:1] == ["prepare"]:
        from ortlab.prepare import warm

        warm.start_for(arguments)  # its worker loads onnxruntime while we load our own modules
    import typer

    from ortlab.cli.app import app
    from ortlab.errors import BUG_EXIT_CODE, InterruptedRunError, OrtlabError

    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # not under nohup
        signal.signal(signal.SIGHUP, _interrupt)
    as_json = "--json" in arguments
    try:
        answer = app(list(arguments), standalone_mode=False)
    except OrtlabError as error:
        return _show(error, as_json=as_json)
    except typer.TyperException as error:
        show = getattr(error, "show", None)  # typer's base class does not declare it
        show() if show else print(error, file=sys.stderr)
        return 2
    except (KeyboardInterrupt, typer.Abort):
        answer = InterruptedRunError.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        from ortlab.cli import render

        render.show_bug(error, as_json=as_json)
        return BUG_EXIT_CODE
    if answer == InterruptedRunError.exit_code:  # so Typer hands on Ctrl-C, and says nothing
        message, next_step = "stopped; what was finished is kept", "run the same command again"
        return _show(InterruptedRunError(message, next_step=next_step), as_json=as_json)
    return answer if isinstance(answer, int) else 0


def _show(error: OrtlabError, *, as_json: bool) -> int:
    from ortlab.cli import render  # here, since it would slow down every --help

    render.show_error(error, as_json=as_json)
    return error.exit_code


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt
