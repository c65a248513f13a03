"""How NNAPI and CoreML would split a model, predicted with the checker in ORT's wheel.

The checker knows operator types and shapes, not every condition of a provider: its answer is an
upper bound of what the provider takes. It does not know partitioning stop operators; they are
applied here as ORT's NNAPI provider applies them (``CreateExcludedNodeSet`` in
`core/providers/partitioning_utils.cc`): a stop operator and every node that depends on one stay
on the CPU.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ortlab.domain import PartitionPrediction, TensorSpec
from ortlab.errors import ModelError
from ortlab.prepare.convert import OrtRefusedError, SessionRequest, open_session
from ortlab.prepare.graph import Graph, Node
from ortlab.prepare.ort_format import read_ort
from ortlab.wire import GraphOptimizationLevel

if TYPE_CHECKING:
    import onnx

NNAPI = "nnapi"
DEFAULT_NNAPI_STOP_OPERATORS = ("NonMaxSuppression",)
"""What ORT's NNAPI provider takes where ``ep.nnapi.partitioning_stop_ops`` is not set."""

_COREML = {
    "coreml-neuralnetwork": "coreml_supported_neuralnetwork_ops.md",
    "coreml-mlprogram": "coreml_supported_mlprogram_ops.md",
}
_EXCLUDED_DOMAIN = "ortlab.excluded"


def predict_partitions(
    model_path: Path,
    variant_id: str,
    stop_operators: Sequence[str] = (),
    *,
    custom_op_library: Path | None = None,
    graph: Graph | None = None,
) -> tuple[PartitionPrediction, ...]:
    """Predict how NNAPI and both CoreML formats would split a model.

    The graph is the one that a provider is offered: of an ``.ort`` file the nodes it holds (saved
    optimizations are replayed on what providers leave); of an ``.onnx`` file what ORT makes of it
    at level BASIC. Nodes with an input of unknown size count as not supported. Subgraphs of
    control flow count for nothing: NNAPI never takes them, CoreML only on request.

    Args:
        model_path: ``.ort`` or ``.onnx``.
        variant_id: For the result.
        stop_operators: Partitioning stop operators of NNAPI; ORT's default list if empty.
        custom_op_library: Shared library that an ``.onnx`` with custom operators needs to load.
        graph: Main graph of the ``.ort``, when it was read already.

    Returns:
        One prediction for each provider.

    Raises:
        ModelError: The file cannot be read, or ORT refuses it.
    """
    from onnxruntime.tools.mobile_helpers.usability_checker import (
        check_coreml_partitions,
        check_nnapi_partitions,
    )

    if graph is None:
        graph = _offered_graph(model_path, custom_op_library)
    model = _checkable(graph)
    stops = _applied_stops(graph, stop_operators)
    fixed_sizes = True
    try:
        predictions = [
            _prediction(
                provider, variant_id, check_coreml_partitions(model, fixed_sizes, operators)
            )
            for provider, operators in _COREML.items()
        ]
        _exclude(model.graph, stops)
        nnapi = check_nnapi_partitions(model, fixed_sizes)
    except Exception as error:  # the checker trusts the model and raises anything
        message = f"cannot predict the partitions of {model_path.name}: {error}"
        raise ModelError(message) from error
    return (_prediction(NNAPI, variant_id, nnapi, stops), *predictions)


def excluded_nodes(
    operators: Sequence[str], consumers: Sequence[Collection[int]], stops: Collection[str]
) -> frozenset[int]:
    """Return the nodes that stop operators keep from a provider.

    Args:
        operators: Operator type of each node; the domain does not matter to ORT.
        consumers: For each node the nodes that use one of its outputs.
        stops: Stop operators.

    Returns:
        Indices of the stop operators and of all nodes downstream of them.
    """
    pending = [index for index, operator in enumerate(operators) if operator in stops]
    excluded = set(pending)
    while pending:
        for consumer in consumers[pending.pop()]:
            if consumer not in excluded:
                excluded.add(consumer)
                pending.append(consumer)
    return frozenset(excluded)


def _offered_graph(path: Path, custom_op_library: Path | None) -> Graph:
    """Read the graph a provider is offered, with the sizes that ORT inferred."""
    if path.suffix.lower() != ".onnx":
        return read_ort(path).graph
    with tempfile.TemporaryDirectory(prefix="ortlab-") as scratch:
        saved = Path(scratch) / "basic.ort"
        request = SessionRequest(
            model=path,
            level=GraphOptimizationLevel.BASIC,
            entries={"session.save_model_format": "ORT"},
            saved_to=saved,
            custom_op_library=custom_op_library,
        )
        try:
            open_session(request)
        except OrtRefusedError as error:
            message = f"cannot predict the partitions of {path.name}: {error}"
            raise ModelError(message) from error
        return read_ort(saved).graph


def _checkable(graph: Graph) -> onnx.ModelProto:
    """Return the main graph as the checker wants it: sorted, with sizes, without weights."""
    import onnx

    model = onnx.ModelProto()
    for node in _sorted(graph):
        proto = model.graph.node.add()
        proto.op_type = node.operator
        proto.domain = "" if node.domain == "ai.onnx" else node.domain
        proto.input.extend(node.inputs)
        proto.output.extend(node.outputs)
        if node.operator == "Transpose":  # the checker reads its first attribute unasked
            axes = next((a.value for a in node.attributes if a.name == "perm"), ())
            proto.attribute.add(name="perm").ints.extend(cast("tuple[int, ...]", axes))
    for tensor in graph.initializers:
        model.graph.initializer.add(name=tensor.name)
    model.graph.input.extend(map(_value, graph.inputs))
    model.graph.output.extend(map(_value, graph.outputs))
    known = (value for value in graph.values if value.shape is not None)
    model.graph.value_info.extend(map(_value, known))
    # An omitted input has the empty name; without an entry the checker takes it for a value of
    # unknown size and refuses its node.
    model.graph.value_info.append(_value(TensorSpec(name="", element_type="float", shape=())))
    return model


def _value(spec: TensorSpec) -> onnx.ValueInfoProto:
    import onnx

    sizes = (None,) if spec.shape is None else spec.shape
    return onnx.helper.make_tensor_value_info(spec.name, onnx.TensorProto.FLOAT, sizes)


def _sorted(graph: Graph) -> Iterator[Node]:
    producer = {name: i for i, node in enumerate(graph.nodes) for name in node.outputs if name}
    sorter = TopologicalSorter(
        {
            index: sorted({producer[name] for name in node.inputs if name in producer})
            for index, node in enumerate(graph.nodes)
        }
    )
    try:
        for index in sorter.static_order():
            yield graph.nodes[index]
    except CycleError as error:
        message = "cannot predict the partitions: the graph has a cycle"
        raise ModelError(message) from error


def _applied_stops(graph: Graph, asked: Sequence[str]) -> tuple[str, ...]:
    """Return the user's list, or what of ORT's default list the model has."""
    if asked:
        return tuple(dict.fromkeys(asked))
    present = {node.operator for node in graph.nodes}
    return tuple(stop for stop in DEFAULT_NNAPI_STOP_OPERATORS if stop in present)


def _exclude(graph: onnx.GraphProto, stops: Collection[str]) -> None:
    """Move nodes that stop operators exclude to a domain that no provider supports."""
    producer = {name: i for i, node in enumerate(graph.node) for name in node.output if name}
    consumers: list[set[int]] = [set() for _ in graph.node]
    for index, node in enumerate(graph.node):
        for name in node.input:
            if name in producer:
                consumers[producer[name]].add(index)
    operators = [node.op_type for node in graph.node]
    for index in excluded_nodes(operators, consumers, stops):
        graph.node[index].domain = _EXCLUDED_DOMAIN


def _prediction(
    provider: str, variant_id: str, info: Any, stops: tuple[str, ...] = ()
) -> PartitionPrediction:
    unsupported = (
        operator for operator in info.unsupported_ops if not operator.startswith(_EXCLUDED_DOMAIN)
    )
    return PartitionPrediction(
        provider=provider,
        variant_id=variant_id,
        node_count=info.num_nodes,
        supported_node_count=info.num_supported_nodes,
        partition_count=info.num_partitions,
        unsupported_operators=tuple(sorted(unsupported)),
        stop_operators=stops,
        suitability=str(info.suitability().name) if info.num_nodes else "NO",
    )
