"""A benchmark program that only sleeps: ``python sleeping.py SECONDS REQUEST.json``.

For tests of load. Its results say that they slept (language ``sleep``) and hold no samples. It
imports no more than it must, so that many can start at once.
"""

from __future__ import annotations

import json
import os
import sys
import time

_FACTS = {
    "ort_version": "none",
    "language": "sleep",
    "language_version": "0",
    "runner_version": "0",
    "available_providers": ["CPUExecutionProvider"],
}


def main(arguments: list[str]) -> int:
    """Answer a request, or ``--probe``; return the exit code."""
    seconds, question = float(arguments[0]), arguments[1]
    if question == "--probe":
        print(json.dumps({"runtime": _FACTS}))  # noqa: T201
        return 0
    with open(question, encoding="utf-8") as file:  # noqa: PTH123
        request = json.load(file)
    directory = os.path.join(os.path.dirname(question), request["output_directory"])  # noqa: PTH118, PTH120
    os.makedirs(directory, exist_ok=True)  # noqa: PTH103
    with open(os.path.join(directory, "progress"), "a", encoding="utf-8") as file:  # noqa: PTH118, PTH123
        file.write("start\n")
    time.sleep(seconds)
    path = os.path.join(directory, "result.json")  # noqa: PTH118
    with open(path + ".part", "w", encoding="utf-8") as file:  # noqa: PTH123
        json.dump(_result(request), file)
    os.replace(path + ".part", path)  # noqa: PTH105
    return 0


def _result(request: dict[str, object]) -> dict[str, object]:
    return {
        "schema": "ortlab.block_result/1",
        "block_id": request["block_id"],
        "failure": None,
        "runtime": _FACTS,
        "requested_providers": request["providers"],
        "registered_providers": ["CPUExecutionProvider"],
        "clock": {"name": "none: it slept", "resolution_ns": 1},
        "timing": {},
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
