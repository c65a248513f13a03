"""What a variant's file holds, and which ORT releases load it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ortlab.domain import ReleaseVerdict
from ortlab.ort_releases import release_verdicts
from ortlab.prepare.content import digest_of, read_model_file
from ortlab.prepare.graph import Graph
from ortlab.prepare.inspection import format_facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A variant's file; the fields are those of :class:`ortlab.domain.Variant`.

    Attributes:
        verdicts: What ORT releases make of it.
        graph: Main graph.
    """

    sha256: str
    content_digest: str
    size_bytes: int
    operator_counts: Mapping[str, int]
    initializer_bytes: Mapping[str, int]
    saved_optimizations: Mapping[str, int]
    verdicts: tuple[ReleaseVerdict, ...]
    graph: Graph


def describe(path: Path) -> Description:
    """Read an `.onnx` or `.ort` file.

    Raises:
        ModelError: It is damaged.
    """
    model = read_model_file(path, content=True)
    return Description(
        sha256=model.spec.sha256,
        content_digest=digest_of(model),
        size_bytes=model.spec.size_bytes,
        operator_counts=model.operator_counts(),
        initializer_bytes=model.initializer_bytes(),
        saved_optimizations=model.saved_optimizations(),
        verdicts=release_verdicts(format_facts(model)),
        graph=model.graph,
    )
