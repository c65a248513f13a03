"""What a model file means, whatever its bytes: to compare conversions.

Two conversions of one model differ in padding, in orders that mean nothing, and in the numbers of
values that ORT makes up. The digest is taken over what the parsers read, in canonical form; name
and size of the file, and values that no node uses, are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final

from ortlab.domain import TensorSpec
from ortlab.errors import ModelError
from ortlab.prepare.canonical import canonical_graph, digest, plain
from ortlab.prepare.graph import Graph, Node, ParsedModel
from ortlab.prepare.onnx_format import read_onnx
from ortlab.prepare.ort_format import IDENTIFIER, read_ort

MAX_DIFFERENCES: Final = 50


def read_model_file(path: Path, *, content: bool = False) -> ParsedModel:
    """Read an `.onnx` or `.ort` file, told apart by what stands in it.

    Args:
        path: The file.
        content: Also hash the data of every tensor.

    Raises:
        ModelError: It cannot be read, or is neither.
    """
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        message = f"cannot read {path}: {error.strerror or error}"
        raise ModelError(message) from error
    suffix = path.suffix.lower()
    if head[4:8] == IDENTIFIER or suffix == ".ort":
        return read_ort(path, content=content)
    if suffix == ".onnx":
        return read_onnx(path, content=content)
    message = f"cannot tell what {path} is: it is no ORT format model and not named .onnx"
    raise ModelError(message, next_step="give an .onnx or .ort file")


def content_digest(path: Path) -> str:
    """Return the SHA-256 of a model file's content, as hexadecimal.

    Equal for two conversions of one model; another when weights, attributes, nodes, edges, saved
    records, opsets, metadata, inputs or outputs differ.

    Raises:
        ModelError: The file cannot be read, or is no model.
    """
    return digest_of(read_model_file(path, content=True))


def digest_of(model: ParsedModel) -> str:
    """Return the content digest of a file that was read with ``content=True``."""
    return digest(_canonical(model))


def _canonical(model: ParsedModel) -> dict[str, Any]:
    spec = model.spec
    return {
        "kind": str(model.kind),
        "format": model.format_version,
        "ir_version": spec.ir_version,
        "opsets": dict(sorted(spec.opsets.items())),
        "producer": spec.producer,
        "metadata": dict(sorted(spec.metadata.items())),
        "graph": canonical_graph(model.graph),
        "functions": {
            name: canonical_graph(graph) for name, graph in sorted(model.functions.items())
        },
        "extra": dict(sorted(model.extra.items())),
    }


# ---------------------------------------------------------------------------------- differences


def semantic_difference(a: Path, b: Path) -> tuple[str, ...]:
    """Tell in sentences how the content of two model files differs.

    Args:
        a: One file.
        b: Another, compared with it.

    Returns:
        At most :data:`MAX_DIFFERENCES` sentences; none when the digests are equal.

    Raises:
        ModelError: A file cannot be read, or is no model.
    """
    first, second = (read_model_file(path, content=True) for path in (a, b))
    found = tuple(islice(_differences(first, second), MAX_DIFFERENCES))
    if not found and content_digest(a) != content_digest(b):
        return ("their content differs in what is rarely used",)
    return found


def _differences(first: ParsedModel, second: ParsedModel) -> Iterator[str]:
    yield from _unequal("kind", first.kind, second.kind)
    yield from _unequal("format version", first.format_version, second.format_version)
    yield from _unequal("IR version", first.spec.ir_version, second.spec.ir_version)
    yield from _unequal("producer", first.spec.producer, second.spec.producer)
    yield from _mapping("opset of", first.spec.opsets, second.spec.opsets)
    yield from _mapping("metadata", first.spec.metadata, second.spec.metadata)
    yield from _graphs("", canonical_graph(first.graph), canonical_graph(second.graph))
    for name in sorted({*first.functions, *second.functions}):
        if name in first.functions and name in second.functions:
            bodies = [canonical_graph(model.functions[name]) for model in (first, second)]
            yield from _graphs(f"function {name}: ", *bodies)
        else:
            yield f"function {name} is only in {_only(name in first.functions)}"
    for key in sorted({*first.extra, *second.extra}):
        yield from _unequal(key, first.extra.get(key), second.extra.get(key))


def _graphs(place: str, first: Graph, second: Graph) -> Iterator[str]:
    yield from _specs(f"{place}inputs", first.inputs, second.inputs)
    yield from _specs(f"{place}outputs", first.outputs, second.outputs)
    tensors = [{each.name: each for each in graph.initializers} for graph in (first, second)]
    yield from _mapping(f"{place}initializer", *tensors)
    nodes = [_keyed(graph.nodes) for graph in (first, second)]
    for key in sorted({*nodes[0], *nodes[1]}):
        ours, theirs = nodes[0].get(key), nodes[1].get(key)
        if ours is None or theirs is None:
            one = ours or theirs
            assert one is not None
            yield f"{place}{_named(one)} is only in {_only(theirs is None)}"
        else:
            yield from _nodes(place, ours, theirs)
    values = [{each.name: each for each in graph.values} for graph in (first, second)]
    yield from _mapping(f"{place}value", *values)
    records = [_resolved(graph) for graph in (first, second)]
    yield from _unequal(f"{place}saved optimizations", *records)


def _keyed(nodes: tuple[Node, ...]) -> dict[tuple[str, int], Node]:
    """Return nodes by what names them best, numbered where several share a name."""
    found: dict[tuple[str, int], Node] = {}
    seen: Counter[str] = Counter()
    for node in nodes:
        label = next(filter(None, node.outputs), node.name)
        found[label, seen[label]] = node
        seen[label] += 1
    return found


def _resolved(graph: Graph) -> list[tuple[object, ...]]:
    """Return saved records with their nodes' outputs in place of numbers."""
    outputs = {node.index: node.outputs for node in graph.nodes}
    return [
        (
            record.optimizer,
            record.action,
            [
                index if index is None else outputs.get(index, index)
                for index in record.node_indices
            ],
            record.target_position,
            record.output_count,
            record.produced_operators,
            record.produced_kernel_hashes,
        )
        for record in graph.records
    ]


def _nodes(place: str, first: Node, second: Node) -> Iterator[str]:
    label = f"{place}{_named(first)}"
    for name in ("name", "domain", "operator", "since_version", "execution_provider"):
        yield from _unequal(f"{label}: {name}", getattr(first, name), getattr(second, name))
    yield from _unequal(f"{label}: inputs", first.inputs, second.inputs)
    yield from _unequal(f"{label}: outputs", first.outputs, second.outputs)
    attributes = [{each.name: each.value for each in node.attributes} for node in (first, second)]
    for name in sorted({*attributes[0], *attributes[1]}):
        ours, theirs = attributes[0].get(name), attributes[1].get(name)
        if isinstance(ours, Graph) and isinstance(theirs, Graph):
            yield from _graphs(f"{label}: {name}: ", ours, theirs)
        else:
            yield from _unequal(f"{label}: attribute {name}", ours, theirs)


def _specs(
    what: str, first: tuple[TensorSpec, ...], second: tuple[TensorSpec, ...]
) -> Iterator[str]:
    yield from _unequal(what, [_spec(spec) for spec in first], [_spec(spec) for spec in second])


def _spec(spec: TensorSpec) -> str:
    return f"{spec.name} {spec.element_type} {spec.shape}"


def _mapping(what: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted({*first, *second}):
        if key not in first or key not in second:
            yield f"{what} {key!r} is only in {_only(key in first)}"
        else:
            yield from _unequal(f"{what} {key!r}", first[key], second[key])


def _unequal(what: str, first: Any, second: Any) -> Iterator[str]:
    if plain(first) != plain(second):
        yield f"{what} differs: {_short(first)} and {_short(second)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


def _named(node: Node) -> str:
    return f"node {node.name!r} ({node.operator})"


def _only(in_first: object) -> str:
    return "the first" if in_first else "the second"
