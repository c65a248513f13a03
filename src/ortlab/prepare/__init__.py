"""ONNX → `PreparedModel`: variants, proofs, manifest.

With `runner` the only importer of onnxruntime, and the only one of onnx; both are imported inside
functions, and on a user's file they run in a worker process (`worker.py`).
"""

from ortlab.prepare.driver import find_models, prepare_models
from ortlab.prepare.inspection import Inspection, inspect_file
from ortlab.prepare.manifest import find_prepared, load_prepared, safe_path
from ortlab.prepare.options import (
    ModelResult,
    PrepareOptions,
    PrepareProgress,
    PrepareSummary,
    parse_dims,
    parse_input_shapes,
)
from ortlab.prepare.package_check import PackageCheck, check_package

__all__ = [
    "Inspection",
    "ModelResult",
    "PackageCheck",
    "PrepareOptions",
    "PrepareProgress",
    "PrepareSummary",
    "check_package",
    "find_models",
    "find_prepared",
    "inspect_file",
    "load_prepared",
    "parse_dims",
    "parse_input_shapes",
    "prepare_models",
    "safe_path",
]
