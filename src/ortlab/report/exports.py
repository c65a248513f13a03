"""For machines: Parquet, CSV, JSON, and the format of github-action-benchmark."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ortlab import __version__
from ortlab.codec import to_plain
from ortlab.domain import Analysis, Arm, ArmSummary, PreparedModel, Run
from ortlab.report.frames import BlockSamples, good_latency_samples
from ortlab.text import shorten, visible
from ortlab.wire import MemoryKind

if TYPE_CHECKING:
    import pandas as pd

REPORT_SCHEMA = "ortlab.report/1"
_CSV_ROWS = 1 << 16
_FORMULA = re.compile(r"\s*[=+\-@]")


# ------------------------------------------------------------------------------ tables


def arrow_table(frame: pd.DataFrame) -> Any:
    """Return a frame as a pyarrow table, text as dictionaries, without pandas' own metadata."""
    import pyarrow as pa

    return pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)


def write_parquet(table: Any, path: Path) -> None:
    """Write a table as Parquet."""
    import pyarrow.parquet as pq

    pq.write_table(table, path, compression="zstd")


def write_csv(table: Any, path: Path) -> None:
    """Write a table as CSV that a spreadsheet cannot take for formulas.

    Text that starts with ``=``, ``+``, ``-`` or ``@`` gets an apostrophe in front; control
    characters are shown as signs, so that a row is a line.
    """
    import pyarrow as pa
    import pyarrow.csv as pa_csv

    plain = [_spreadsheet_safe(table.column(name)) for name in table.column_names]
    safe = pa.table(dict(zip(table.column_names, plain, strict=True)))
    fields = [
        pa.field(f.name, pa.string() if pa.types.is_dictionary(f.type) else f.type)
        for f in safe.schema
    ]
    if not fields:
        path.write_text("", encoding="utf-8")
        return
    schema = pa.schema(fields)
    with pa_csv.CSVWriter(path, schema) as writer:
        for start in range(0, safe.num_rows, _CSV_ROWS):
            writer.write_table(safe.slice(start, _CSV_ROWS).cast(schema))


def _spreadsheet_safe(column: Any) -> Any:
    import pyarrow as pa

    if not pa.types.is_dictionary(column.type):
        return column
    array = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    if isinstance(array, pa.ChunkedArray):
        array = array.unify_dictionaries().combine_chunks()
    words = [None if v is None else csv_text(v) for v in array.dictionary.to_pylist()]
    return pa.DictionaryArray.from_arrays(array.indices, pa.array(words, type=pa.string()))


def csv_text(text: str) -> str:
    """Return text that no spreadsheet evaluates, on one line."""
    shown = visible(text)
    return f"'{shown}" if _FORMULA.match(shown) else shown


# ------------------------------------------------------------------------------ JSON


def report_json(run: Run, analysis: Analysis, prepared: PreparedModel | None) -> str:
    """Return experiment and analysis as JSON that the codec reads back."""
    value = {
        "schema": REPORT_SCHEMA,
        "ortlab_version": __version__,
        "virtual": run.experiment.device.virtual,
        "analysis": to_plain(analysis),
        "experiment": to_plain(run.experiment),
        "prepared": None
        if prepared is None
        else {
            "name": prepared.name,
            "original_sha256": prepared.original.sha256,
            "provenance": to_plain(prepared.provenance),
        },
    }
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def benchmark_json(run: Run, analysis: Analysis, samples: Sequence[BlockSamples]) -> str:
    """Return what github-action-benchmark reads with the tool ``customSmallerIsBetter``."""
    entries: list[dict[str, Any]] = []
    spreads = _spreads_ns(samples)
    for arm, summary in zip(run.experiment.arms, analysis.arms, strict=True):
        entries += _benchmark_entries(run, analysis, arm, summary, spreads.get(arm.arm_id))
    return json.dumps(entries, indent=2, allow_nan=False) + "\n"


def _benchmark_entries(
    run: Run, analysis: Analysis, arm: Arm, summary: ArmSummary, spread_ns: float | None
) -> list[dict[str, Any]]:
    experiment = run.experiment
    virtual = " (virtual)" if experiment.device.virtual else ""
    place = f"{experiment.model_name} / {arm.label} / {experiment.device.name}{virtual}"
    stem = shorten(visible(place), 200)
    said = [c.sentence for c in analysis.comparisons if c.arm_id == arm.arm_id]
    extra = "\n".join(
        visible(line) for line in (f"trust {analysis.grade}", f"ORT {summary.ort_version}", *said)
    )
    peaks = [m.size_bytes for m in summary.memory if m.kind == MemoryKind.PEAK]
    cold = summary.cold_start
    figures = (
        ("median latency", "ms", summary.latency.median_ns / 1e6 if summary.latency else None),
        ("peak memory", "MB", max(peaks) / 1e6 if peaks else None),
        (
            "session creation",
            "ms",
            cold.session_creation_ns / 1e6 if cold and cold.session_creation_ns else None,
        ),
        ("file size", "MB", arm.size_bytes / 1e6 if arm.size_bytes else None),
    )
    entries = []
    for name, unit, value in figures:
        if value is None or not math.isfinite(value):
            continue
        entry = {"name": f"{stem} / {name}", "unit": unit, "value": float(f"{value:.6g}")}
        if name == "median latency" and spread_ns is not None:
            entry["range"] = f"± {spread_ns / 1e6:.4g}"
        entries.append({**entry, "extra": extra})
    return entries


def _spreads_ns(samples: Sequence[BlockSamples]) -> dict[str, float]:
    """Return each arm's standard deviation of block medians, where it has two or more."""
    import numpy as np

    medians: dict[str, list[float]] = {}
    for item in good_latency_samples(samples):
        medians.setdefault(item.block.arm_id, []).append(float(np.median(item.measured_ns)))
    return {a: float(np.std(found, ddof=1)) for a, found in medians.items() if len(found) > 1}
