"""Make `src/ortlab/ort_releases.json` from the measured matrix.

    python scripts/make_release_table.py           writes the table
    python scripts/make_release_table.py --check   exits 1 when the table is not what it would write

Reads `tests/data/ort_formats/`: `matrix.json`, and the files themselves for the operator domains
that each release knew when it wrote one.
"""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from ortlab.ort_releases import ReplayBehavior
from ortlab.prepare.ort_format import read_ort

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "tests" / "data" / "ort_formats"
TABLE = ROOT / "src" / "ortlab" / "ort_releases.json"

Matrix = dict[str, Any]


def _release(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _reads(matrix: Matrix, version: str) -> list[int]:
    """Formats of which no file failed for its format."""
    verdicts: dict[int, set[bool]] = defaultdict(set)
    for file, error in zip(matrix["files"], matrix["errors"][version], strict=True):
        text = "" if error is None else matrix["texts"][error]
        refused = "ORT format model" in text
        verdicts[int(file["ort_version"])].add(refused)
    mixed = [number for number, seen in verdicts.items() if len(seen) > 1]
    if mixed:
        message = f"{version} reads some files of formats {mixed} and refuses others"
        raise ValueError(message)
    return sorted(number for number, seen in verdicts.items() if seen == {False})


def _fails_at_level_all(matrix: Matrix, version: str) -> list[int]:
    names = matrix["loads_below_level_all"].get(version, [])
    return sorted({int(f["ort_version"]) for f in matrix["files"] if f["name"] in names})


def _missing_kernels(matrix: Matrix, row: dict[str, Any], version: str) -> list[str]:
    """Operators that a release names as not implemented, although it accepts their opset."""
    limits = matrix["max_opset"][version].values()
    numbers = [*row["cannot_convert"].values(), *(limit["error"] for limit in limits)]
    texts = (matrix["texts"][number] for number in numbers)
    return sorted(
        {
            f"ai.onnx:{found[1]}:{found[2]}"
            for text in texts
            if "NOT_IMPLEMENTED" in text and (found := re.search(r"(\w+)\((\d+)\)", text))
        }
    )


def _behavior(counts: list[Any] | dict[str, Any], modes: list[str]) -> ReplayBehavior:
    seen = {mode: sum(count) for mode, count in zip(modes, counts, strict=True)}
    if seen["key=1,level=basic"]:
        message = f"level BASIC replays: {seen}"
        raise ValueError(message)
    if seen["default"]:
        return ReplayBehavior.DEFAULT
    return ReplayBehavior.KEY if seen["key=1"] else ReplayBehavior.IGNORED


def _replay(matrix: Matrix, version: str) -> dict[str, str]:
    """What became of saved records, by format; files whose replay fails say nothing here."""
    formats = {
        (file["model"], file["style"], file["made_by"]): file["ort_version"]
        for file in matrix["files"]
        if file["runtime_optimizations"]
    }
    seen: dict[str, set[ReplayBehavior]] = defaultdict(set)
    for group in matrix["executed"]:
        if version not in group["runtimes"]:
            continue
        for result in group["results"]:
            for maker in result["made_by"]:
                number = formats.get((result["model"], result["style"], maker))
                if number is not None and None not in result["counts"]:
                    seen[number].add(_behavior(result["counts"], matrix["replay_modes"]))
    mixed = {number: found for number, found in seen.items() if len(found) > 1}
    if mixed:
        message = f"{version} replays files of one format differently: {mixed}"
        raise ValueError(message)
    return {number: str(next(iter(found))) for number, found in sorted(seen.items())}


def _domain_versions(version: str) -> dict[str, int]:
    written = read_ort(DATA / f"small.fixed.ort-{version}.ort").spec.opsets
    internal = {"ai.onnx", "com.ms.internal.nhwc"}
    return {domain: number for domain, number in sorted(written.items()) if domain not in internal}


def make_table() -> str:
    """Return the table as JSON, a line a release."""
    matrix: Matrix = json.loads((DATA / "matrix.json").read_text())
    rows = [
        {
            "release": _release(row["version"]),
            "version": row["version"],
            "max_opset": matrix["max_opset"][row["version"]]["Abs"]["accepted"],
            "max_ir_version": matrix["max_ir"][row["version"]]["accepted"],
            "domain_versions": _domain_versions(row["version"]),
            "missing_kernels": _missing_kernels(matrix, row, row["version"]),
            "reads_formats": _reads(matrix, row["version"]),
            "fails_at_level_all": _fails_at_level_all(matrix, row["version"]),
            "replay": _replay(matrix, row["version"]),
        }
        for row in matrix["runtimes"]
    ]
    lines = ",\n".join(" " + json.dumps(row) for row in rows)
    return f'{{"schema": 1, "releases": [\n{lines}\n]}}\n'


def main(arguments: list[str]) -> int:
    """Write or check the table."""
    text = make_table()
    if "--check" in arguments:
        return int(TABLE.read_text() != text)
    TABLE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
