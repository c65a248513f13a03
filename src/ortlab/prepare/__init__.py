"""ONNX → `PreparedModel`: variants, proofs, manifest.

With `runner` the only importer of onnxruntime, and the only one of onnx; both are imported inside
functions, and on a user's file they run in a worker process (`worker.py`). Names are loaded on
first use: the worker needs other modules than the driver, and both start often.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_HOMES = {
    "driver": ("find_models", "prepare_models"),
    "inspection": ("Inspection", "inspect_file"),
    "manifest": ("find_prepared", "load_prepared", "safe_path"),
    "options": (
        *("ModelResult", "PrepareOptions", "PrepareProgress", "PrepareSummary"),
        *("parse_dims", "parse_input_shapes"),
    ),
    "package_check": ("PackageCheck", "check_package"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"ortlab.prepare.{home}"), name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
