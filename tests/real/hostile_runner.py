"""A benchmark program that goes wrong as the arm's id says, and is the real one otherwise.

Parity of every arm is answered honestly: it goes wrong in the rounds. ``hangs`` goes wrong at
once, because each hang costs its whole deadline.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import sys
import time
from pathlib import Path

RUNNER = Path(__file__).parents[2] / "src/ortlab/runner/block_runner.py"


def go_wrong(arm: str, request: dict[str, object]) -> None:
    result = Path(str(request["output_directory"])) / "result.json"
    if arm == "segfaults":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif arm == "exits":
        sys.exit(3)
    elif arm == "says-nothing":
        sys.exit(0)
    elif arm == "rambles":
        sys.stdout.write("\0 garbage \xff" * 100)
        result.write_bytes(b"\xff\x00{]")
    elif arm == "out-of-memory":
        bytearray(1 << 62)
    elif arm == "mistakes":
        answer_honestly()
        answer = json.loads(result.read_text())
        result.write_text(json.dumps({**answer, "block_id": "latency-000-0-onnx"}))


def answer_honestly() -> None:
    sys.argv[0] = str(RUNNER)
    sys.path.insert(0, str(RUNNER.parent))
    try:
        runpy.run_path(str(RUNNER), run_name="__main__")
    except SystemExit as ended:
        if ended.code:
            raise


def main() -> None:
    if sys.argv[1] == "--probe":
        answer_honestly()
        return
    request = json.loads(Path(sys.argv[1]).read_text())
    arm = request["block_id"].split("-", 3)[3]
    if arm == "hangs":
        time.sleep(600)
    if arm != "onnx" and request["purpose"] == "latency":
        go_wrong(arm, request)
    else:
        answer_honestly()


if __name__ == "__main__":
    main()
