"""The sleeping benchmark program, with its sleep as the one sample of a latency block.

``python sleeping_latency.py SLEEPING.py SECONDS QUESTION``: so that experiments go on as planned.
"""

from __future__ import annotations

import sys

with open(sys.argv[1], encoding="utf-8") as file:  # noqa: PTH123 - it imports no more than it must
    sleeping: dict[str, object] = {"__name__": "sleeping"}
    exec(compile(file.read(), sys.argv[1], "exec"), sleeping)

without_samples, main = sleeping["_result"], sleeping["main"]
assert callable(without_samples)
assert callable(main)
slept_ns = round(float(sys.argv[2]) * 1e9)
sleeping["_result"] = lambda request: {
    **without_samples(request),
    "timing": {"measured_ns": [slept_ns]},
}
sys.exit(main(sys.argv[2:]))
