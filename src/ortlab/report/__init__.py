"""Reports of a run: HTML, Markdown, CSV, Parquet, JSON, dashboards, JUnit XML.

The only importer of pandas; pandas, altair, vl-convert, pyarrow and jinja2 are imported on first
use. `write_report` is the way in.
"""

from ortlab.report.files import ALL_FORMATS, ReportFiles, ReportFormat, write_report
from ortlab.report.index import IndexEntry, write_index
from ortlab.report.junit import JUnitRow, JUnitStatus, junit

__all__ = [
    "ALL_FORMATS",
    "IndexEntry",
    "JUnitRow",
    "JUnitStatus",
    "ReportFiles",
    "ReportFormat",
    "junit",
    "write_index",
    "write_report",
]
