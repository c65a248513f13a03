"""What a variant's file holds, and which ORT releases load it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ortlab.domain import PartitionPrediction, ReleaseVerdict
from ortlab.errors import ModelError
from ortlab.ort_releases import ModelKind, release_verdicts
from ortlab.prepare.content import digest_of, read_model_file
from ortlab.prepare.graph import Graph
from ortlab.prepare.inspection import format_facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A variant's file; the fields are those of :class:`ortlab.domain.Variant`.

    Attributes:
        verdicts: What ORT releases make of it.
        predictions: How execution providers would split it.
        notes: What could not be predicted, in sentences.
    """

    sha256: str
    content_digest: str
    size_bytes: int
    operator_counts: Mapping[str, int]
    initializer_bytes: Mapping[str, int]
    saved_optimizations: Mapping[str, int]
    verdicts: tuple[ReleaseVerdict, ...]
    predictions: tuple[PartitionPrediction, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Predict:
    """That partitions are to be predicted.

    Attributes:
        variant_id: For the result.
        stop_operators: Partitioning stop operators of NNAPI.
    """

    variant_id: str
    stop_operators: tuple[str, ...]


def describe(path: Path, predict: Predict | None) -> Description:
    """Read an `.onnx` or `.ort` file; partitions are predicted of `.ort` alone, without ORT.

    Raises:
        ModelError: It is damaged.
    """
    model = read_model_file(path, content=True)
    predictions: tuple[PartitionPrediction, ...] = ()
    notes: tuple[str, ...] = ()
    if predict is not None and model.kind is ModelKind.ORT:
        predictions, notes = predicted(path, predict, graph=model.graph)
    return Description(
        sha256=model.spec.sha256,
        content_digest=digest_of(model),
        size_bytes=model.spec.size_bytes,
        operator_counts=model.operator_counts(),
        initializer_bytes=model.initializer_bytes(),
        saved_optimizations=model.saved_optimizations(),
        verdicts=release_verdicts(format_facts(model)),
        predictions=predictions,
        notes=notes,
    )


def predicted(
    path: Path,
    predict: Predict,
    *,
    graph: Graph | None = None,
    custom_op_library: Path | None = None,
) -> tuple[tuple[PartitionPrediction, ...], tuple[str, ...]]:
    """Predict partitions; a model that the checker stumbles over gets a note instead.

    Args:
        path: The file; ORT loads it when it is `.onnx`.
        predict: For which variant.
        graph: Main graph of an `.ort` that was read already.
        custom_op_library: Needed to load an `.onnx` with custom operators.
    """
    from ortlab.prepare.partitions import predict_partitions

    try:
        found = predict_partitions(
            path,
            predict.variant_id,
            predict.stop_operators,
            custom_op_library=custom_op_library,
            graph=graph,
        )
    except ModelError as error:
        return (), (f"{error.message}; there is no prediction for NNAPI and CoreML",)
    return found, ()
