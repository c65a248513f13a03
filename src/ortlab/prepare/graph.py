"""What the parsers of `.onnx` and `.ort` files read, in one shape for both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from ortlab.domain import ModelSpec, TensorSpec
from ortlab.ort_releases import ModelKind

MAX_SUBGRAPH_DEPTH: Final = 32

# In the order of onnx.TensorProto.DataType, which ORT's own format shares.
ELEMENT_TYPES: Final = (
    "undefined", "float", "uint8", "int8", "uint16", "int16", "int32", "int64", "string", "bool",
    "float16", "double", "uint32", "uint64", "complex64", "complex128", "bfloat16",
    "float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz", "uint4", "int4",
    "float4e2m1", "float8e8m0", "uint2", "int2",
)  # fmt: skip

_UNNAMED = ("?", "-1", "")


def element_type_name(number: int) -> str:
    """Return the name of an ONNX element type; unknown numbers keep their number."""
    return ELEMENT_TYPES[number] if 0 <= number < len(ELEMENT_TYPES) else f"type {number}"


def dimension_symbol(text: str) -> str | None:
    """Return a dimension's symbol, or None for one that names nothing: ``?``, ``-1`` or empty."""
    return None if text.strip() in _UNNAMED else text


@dataclass(frozen=True, slots=True, kw_only=True)
class Initializer:
    """A constant tensor.

    Attributes:
        name: ONNX value name; empty for the value of an attribute.
        element_type: ONNX element type in lower case.
        shape: Dimensions as the file states them.
        size_bytes: Of its data.
        data_sha256: Of its data, when content was asked for; else empty.
    """

    name: str
    element_type: str
    shape: tuple[int, ...]
    size_bytes: int
    data_sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """A node's attribute; ``value`` is of the Python type that its ``kind`` calls for."""

    name: str
    kind: str
    value: AttributeValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """An operator call.

    Attributes:
        index: ORT's number of it; its position in `.onnx`.
        name: May be empty.
        domain: ``ai.onnx`` for the default one.
        operator: Operator type.
        since_version: Opset that defined this version of the operator; 0 where unknown.
        execution_provider: ORT's name of it; empty in `.onnx`.
        inputs: Value names; an omitted one is empty. In `.ort`, the outer values that its
            subgraphs use follow.
        outputs: Value names; an omitted one is empty.
        attributes: Sorted by name.
    """

    index: int
    name: str
    domain: str
    operator: str
    since_version: int
    execution_provider: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: tuple[Attribute, ...]

    @property
    def qualified_operator(self) -> str:
        """Domain and operator, such as ``ai.onnx:Conv``."""
        return f"{self.domain}:{self.operator}"

    def subgraphs(self) -> Iterator[Graph]:
        """Yield the graphs of its attributes."""
        for attribute in self.attributes:
            values = attribute.value if isinstance(attribute.value, tuple) else (attribute.value,)
            yield from (value for value in values if isinstance(value, Graph))


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedRecord:
    """One saved runtime optimization: nodes of a graph that one action replaces.

    Attributes:
        optimizer: ORT's optimizer that found it, such as ``ConvActivationFusion``.
        action: What the optimizer does with the nodes, such as ``ConvAct``.
        node_indices: Nodes before the target, the target, nodes after it; None for an optional
            one that is not there.
        target_position: Position of the target node in ``node_indices``.
        output_count: Nodes after the target that the action looks at; 0 when the target's own
            outputs pass to the new node.
        produced_operators: ``domain:Operator:since_version`` of the new nodes; empty before
            format 5.
        produced_kernel_hashes: The same before format 5, as kernel hashes.
    """

    optimizer: str
    action: str
    node_indices: tuple[int | None, ...]
    target_position: int
    output_count: int
    produced_operators: tuple[str, ...]
    produced_kernel_hashes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """A graph or subgraph.

    Attributes:
        nodes: In the file's order.
        inputs: In order, without initializers.
        outputs: In order.
        initializers: In the file's order.
        values: Type and shape of the values in between that nodes use and the file knows.
        unused_values: Values the file describes and no node uses.
        records: Saved runtime optimizations.
        edges: Of `.ort`, when content was asked for: producing node, consuming node, output and
            input number; sorted.
    """

    nodes: tuple[Node, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    initializers: tuple[Initializer, ...]
    values: tuple[TensorSpec, ...] = ()
    unused_values: tuple[str, ...] = ()
    records: tuple[SavedRecord, ...] = ()
    edges: tuple[tuple[int, int, int, int], ...] = ()

    def all_nodes(self) -> Iterator[Node]:
        """Yield the nodes, those of subgraphs included."""
        for node in self.nodes:
            yield node
            for graph in node.subgraphs():
                yield from graph.all_nodes()

    def all_graphs(self) -> Iterator[Graph]:
        """Yield this graph and all subgraphs."""
        yield self
        for node in self.nodes:
            for graph in node.subgraphs():
                yield from graph.all_graphs()


AttributeValue = (
    float | int | bytes | Initializer | Graph | TensorSpec | str
    | tuple[float, ...] | tuple[int, ...] | tuple[bytes, ...]
    | tuple[Initializer, ...] | tuple[Graph, ...] | tuple[TensorSpec, ...] | None
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedModel:
    """A model file as a parser reads it.

    Attributes:
        kind: `.onnx` or `.ort`.
        spec: What the file says of itself.
        format_version: Of the ORT format; None for `.onnx`.
        graph: Main graph.
        functions: Bodies of model-local functions, by ``domain:name``.
        extra: Whatever else the file states that changes what it means: kernel hashes or type
            strings of `.ort`, documentation, imports of functions.
    """

    kind: ModelKind
    spec: ModelSpec
    format_version: int | None
    graph: Graph
    functions: Mapping[str, Graph]
    extra: Mapping[str, tuple[str, ...]]

    def all_nodes(self) -> Iterator[Node]:
        """Yield the nodes of the main graph, its subgraphs and the functions."""
        yield from self.graph.all_nodes()
        for graph in self.functions.values():
            yield from graph.all_nodes()

    def all_graphs(self) -> Iterator[Graph]:
        """Yield the main graph, its subgraphs and the functions."""
        yield from self.graph.all_graphs()
        for graph in self.functions.values():
            yield from graph.all_graphs()

    def operator_counts(self) -> dict[str, int]:
        """Count nodes by ``domain:Operator``, most frequent first."""
        return dict(Counter(node.qualified_operator for node in self.all_nodes()).most_common())

    def saved_optimizations(self) -> dict[str, int]:
        """Count saved records by optimizer."""
        records = (record for graph in self.all_graphs() for record in graph.records)
        return dict(Counter(record.optimizer for record in records))

    def initializer_bytes(self) -> dict[str, int]:
        """Sum the bytes of initializers by element type, largest first."""
        total: Counter[str] = Counter()
        for graph in self.all_graphs():
            for tensor in graph.initializers:
                total[tensor.element_type] += tensor.size_bytes
        return dict(total.most_common())
