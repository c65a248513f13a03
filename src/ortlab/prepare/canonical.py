"""One form for all files of the same content.

ORT numbers the values and nodes that it makes up (``reorder_token_13``) in the order of a hash map
with a seed of its own, so numbers and order differ from conversion to conversion. Here such a
value is named by what computes it, and nodes are ordered by what they compute; names of the
user's stay.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, Final

from ortlab.domain import TensorSpec
from ortlab.prepare.graph import Attribute, AttributeValue, Graph, Initializer, Node

_ATOMS: Final = (str, int, type(None))
_GENERATED: Final = re.compile(r"_token_\d+")


def canonical_graph(graph: Graph, outer: Mapping[str, str] | None = None) -> Graph:
    """Return the graph with made-up names and all orders that mean nothing made uniform.

    Records of one optimizer keep their order: they are applied in it. Nodes that compute the same
    get the same index.

    Args:
        graph: As parsed.
        outer: Names of the enclosing graph's values to their canonical ones.
    """
    return _Canonical(graph, outer or {}).graph()


def plain(value: Any) -> Any:
    """Return a value as JSON knows it, tagged where two types would look alike."""
    kind: Any = type(value)
    if kind in _ATOMS:
        return value
    names = _field_names(kind)
    if names:
        return [kind.__name__, *[plain(getattr(value, name)) for name in names]]
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    return value.hex() if isinstance(value, float) else value


@cache
def _field_names(kind: Any) -> tuple[str, ...]:
    """Return the fields of a dataclass; none of another type."""
    fields = dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ()
    return tuple(item.name for item in fields)


def digest(value: Any) -> str:
    """Return the SHA-256 of a value that :func:`plain` knows, as hexadecimal."""
    text = json.dumps(plain(value), separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class _Canonical:
    def __init__(self, graph: Graph, outer: Mapping[str, str]) -> None:
        self._graph = graph
        self._names = dict(outer)
        for spec in (*graph.inputs, *graph.outputs):
            self._names[spec.name] = spec.name
        self._fixed = {spec.name for spec in (*graph.inputs, *graph.outputs)}
        # The first made-up value of a kind bears no number; which one is first varies too.
        made = [value for node in graph.nodes for value in node.outputs]
        made += [tensor.name for tensor in graph.initializers]
        self._generated = {_stripped(value) for value in made if _GENERATED.search(value)}

    def graph(self) -> Graph:
        graph = self._graph
        initializers = tuple(sorted(map(self._initializer, graph.initializers), key=_name))
        keyed = [self._node(node) for node in self._in_order()]
        ranks: dict[str, int] = {}
        for key in sorted(key for key, _, _ in keyed):
            ranks.setdefault(key, len(ranks))
        indices = {index: ranks[key] for key, index, _ in keyed}
        nodes = [dataclasses.replace(node, index=ranks[key]) for key, _, node in keyed]
        return dataclasses.replace(
            graph,
            nodes=tuple(sorted(nodes, key=lambda node: node.index)),
            initializers=initializers,
            values=tuple(sorted(map(self._value, graph.values), key=_name)),
            unused_values=(),
            records=tuple(
                dataclasses.replace(
                    record, node_indices=tuple(_mapped(record.node_indices, indices))
                )
                for record in sorted(graph.records, key=lambda record: record.optimizer)
            ),
            edges=tuple(
                sorted(
                    (indices.get(source, source), indices.get(target, target), output, into)
                    for source, target, output, into in graph.edges
                )
            ),
        )

    def _in_order(self) -> Iterator[Node]:
        """Yield producers before consumers; what is left in cycles comes last."""
        producers: dict[str, list[int]] = defaultdict(list)
        for at, node in enumerate(self._graph.nodes):
            for value in node.outputs:
                producers[value].append(at)
        consumers: dict[int, list[int]] = defaultdict(list)
        waiting = []
        for at, node in enumerate(self._graph.nodes):
            sources = {each for value in set(_uses(node)) for each in producers.get(value, ())}
            waiting.append(len(sources))
            for source in sources:
                consumers[source].append(at)
        ready = [at for at, count in enumerate(waiting) if count == 0]
        done = set()
        while ready:
            at = ready.pop()
            done.add(at)
            yield self._graph.nodes[at]
            for consumer in consumers[at]:
                waiting[consumer] -= 1
                if waiting[consumer] == 0:
                    ready.append(consumer)
        yield from (node for at, node in enumerate(self._graph.nodes) if at not in done)

    def _node(self, node: Node) -> tuple[str, int, Node]:
        """Return a key of what the node computes, its index in the file, and the node renamed."""
        renamed = dataclasses.replace(
            node,
            index=0,
            name=_stripped(node.name),
            inputs=tuple(self._names.get(value, value) for value in node.inputs),
            outputs=tuple(map(_stripped, node.outputs)),
            attributes=tuple(map(self._attribute, node.attributes)),
        )
        key = digest(renamed)
        for at, value in enumerate(node.outputs):
            self._name(value, f"{key[:20]}.{at}")
        outputs = tuple(self._names[value] for value in node.outputs)
        return key, node.index, dataclasses.replace(renamed, outputs=outputs)

    def _name(self, value: str, identity: str) -> None:
        if value in self._fixed:
            return
        stripped = _stripped(value)
        self._names[value] = f"{stripped}#{identity}" if stripped in self._generated else value

    def _attribute(self, attribute: Attribute) -> Attribute:
        value: AttributeValue | tuple[Graph, ...] = attribute.value
        if isinstance(value, Graph):
            return dataclasses.replace(attribute, value=canonical_graph(value, self._names))
        if isinstance(value, tuple) and value and isinstance(value[0], Graph):
            graphs = [item for item in value if isinstance(item, Graph)]
            renamed = tuple(canonical_graph(graph, self._names) for graph in graphs)
            return dataclasses.replace(attribute, value=renamed)
        return attribute

    def _initializer(self, tensor: Initializer) -> Initializer:
        unnamed = dataclasses.replace(tensor, name=_stripped(tensor.name))
        self._name(tensor.name, digest(unnamed)[:20])
        return dataclasses.replace(tensor, name=self._names[tensor.name])

    def _value(self, spec: TensorSpec) -> TensorSpec:
        return dataclasses.replace(spec, name=self._names.get(spec.name, spec.name))


def _stripped(name: str) -> str:
    return _GENERATED.sub("", name)


def _uses(node: Node) -> Iterator[str]:
    """Yield the values that a node and its subgraphs take."""
    yield from node.inputs
    for graph in node.subgraphs():
        for inner in graph.all_nodes():
            yield from inner.inputs


def _name(value: Initializer | TensorSpec) -> str:
    return value.name


def _mapped(indices: Iterable[int | None], known: Mapping[int, int]) -> Iterator[int | None]:
    for index in indices:
        yield None if index is None else known.get(index, index)
