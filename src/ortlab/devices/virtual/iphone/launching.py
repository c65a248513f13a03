"""What an app's program is on a virtual iPhone, where the real program is one for computers.

``python launching.py PROGRAM ARGUMENT... -- [REQUEST | --probe | --conditions]``: runs the program
in the app's documents with ``@question@`` among its arguments replaced by the question, and prints
what the app on a phone prints. Without a question it does what the app does when it is opened by
hand: it says in `ortlab/runtime.json` what it runs, and carries out each `ortlab/batch.json` that
appears. It imports no more than it must, so that starting it is fast.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

QUESTION = "@question@"

_BATCH = os.path.join("ortlab", "batch.json")  # noqa: PTH118
_TAKEN = os.path.join("ortlab", "taken.json")  # noqa: PTH118
_RUNTIME = os.path.join("ortlab", "runtime.json")  # noqa: PTH118
_BATCH_PERIOD_S = 0.05
_LOOK_PERIOD_S = 0.002


def main(arguments: list[str]) -> int:
    """Carry out a question; return the exit code of the program that did."""
    end = arguments.index("--")
    command, questions = arguments[:end], arguments[end + 1 :]
    os.chdir(os.path.join(os.environ["HOME"], "Documents"))  # noqa: PTH118
    if not questions:
        return _opened_by_hand(command)
    question = questions[0]
    if question.startswith("--"):
        command = _asking(command, question)
        os.execv(command[0], command)  # noqa: S606
    return _carry_out(command, question)


def _asking(command: list[str], question: str) -> list[str]:
    return [question if part == QUESTION else part for part in command]


def _opened_by_hand(command: list[str]) -> int:
    probed = subprocess.run(_asking(command, "--probe"), stdout=subprocess.PIPE, check=False)
    os.makedirs(os.path.dirname(_RUNTIME), exist_ok=True)  # noqa: PTH103, PTH120
    with open(_RUNTIME + ".part", "wb") as file:  # noqa: PTH123
        file.write(probed.stdout)
    os.rename(_RUNTIME + ".part", _RUNTIME)  # noqa: PTH104
    while True:
        try:
            os.rename(_BATCH, _TAKEN)  # noqa: PTH104
        except OSError:
            time.sleep(_BATCH_PERIOD_S)
        else:
            _carry_out(command, _TAKEN)


def _carry_out(command: list[str], question: str) -> int:
    """Run the program on a request or batch; end as it does."""
    command = _asking(command, question)
    blocks = _blocks(question)
    followed = [_Progress(path) for path in (_directory(question, block) for block in blocks)]
    child = subprocess.Popen(command, env={**os.environ, "ORTLAB_END_WITH_PARENT": "1"})
    while True:
        code = child.poll()
        for progress in followed:
            for stage in progress.new_stages():
                _say(f"ORTLAB stage={stage}")
        if code is not None:
            break
        time.sleep(_LOOK_PERIOD_S)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
        os.kill(os.getpid(), -code)
        time.sleep(1)
    for block in blocks:
        if code == 0:
            _say(f"ORTLAB done {block.get('block_id')}")
    return code


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _blocks(question: str) -> list[dict[str, Any]]:
    try:
        with open(question, encoding="utf-8") as file:  # noqa: PTH123
            request = json.load(file)
        found = request.get("requests", [request])
        return [block for block in found if isinstance(block, dict)]
    except (OSError, ValueError, TypeError):
        return []  # the program says what is wrong with it


def _directory(question: str, block: dict[str, Any]) -> str:
    name = block.get("output_directory")
    return os.path.join(os.path.dirname(question), name if isinstance(name, str) else "")  # noqa: PTH118, PTH120


class _Progress:
    """The progress file of a block, from where it ended when the program was started."""

    def __init__(self, directory: str) -> None:
        self._path = os.path.join(directory, "progress")  # noqa: PTH118
        self._passed = os.path.getsize(self._path) if os.path.exists(self._path) else 0  # noqa: PTH110, PTH202

    def new_stages(self) -> list[str]:
        try:
            with open(self._path, "rb") as file:  # noqa: PTH123
                file.seek(self._passed)
                text = file.read()
        except OSError:
            return []
        whole = text[: text.rfind(b"\n") + 1]
        self._passed += len(whole)
        return whole.decode(errors="replace").splitlines()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
