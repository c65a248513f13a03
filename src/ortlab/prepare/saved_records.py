"""Whether saved runtime optimizations can be replayed on the graph they are saved with.

Replay, in every release since 1.11 (`onnxruntime/core/optimizer/selectors_actions/`), goes through
the optimizers in their order, QDQ fusions before Conv fusions, and through each one's records:

1. A record is skipped when one of its nodes is gone, because an earlier record consumed it. So
   two records may well share nodes; the first one wins.
2. A new node is added that takes the target node's name, inputs from the nodes before the target,
   and outputs from the nodes after it (from the target itself where there are none).
3. Each node of the record is removed, but only if all consumers of its outputs are in the record.

Converters 1.21 to 1.30 with ``--target_platform arm`` take a Relu or Clip between Conv and
QuantizeLinear for redundant, but leave it out of the record: Conv's output then has a consumer
outside, step 3 leaves Conv in place, and the model holds two nodes of Conv's name (or, unnamed, a
Conv whose inputs are gone). Every session fails. Converter 1.31.1 lists the Relu in the record.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from ortlab.prepare.graph import Graph, Node, SavedRecord

# In the order in which ORT applies those that can save records; others follow.
_OPTIMIZER_ORDER: Final = ("QDQSelectorActionTransformer", "ConvActivationFusion")

# A hundred thousand real records need fewer; a crafted file could ask for the square of its size.
_MAX_STEPS: Final = 5_000_000


def contradictions(graph: Graph) -> tuple[str, ...]:
    """Return, in sentences, the saved records of a graph and its subgraphs that break it.

    Empty when replay leaves a sound model.
    """
    return tuple(sentence for each in graph.all_graphs() for sentence in _broken(each))


def _broken(graph: Graph) -> Iterator[str]:
    replay = _Replay(graph)
    for record in sorted(graph.records, key=_rank):
        yield from replay.apply(record)
        if replay.steps > _MAX_STEPS:
            yield "the saved records name the same nodes over and over"
            return


def _rank(record: SavedRecord) -> int:
    known = record.optimizer in _OPTIMIZER_ORDER
    return _OPTIMIZER_ORDER.index(record.optimizer) if known else len(_OPTIMIZER_ORDER)


class _Replay:
    """The nodes that are left while records are applied, and who consumes which value."""

    def __init__(self, graph: Graph) -> None:
        self._nodes = {node.index: node for node in graph.nodes}
        self._consumers: dict[str, set[int]] = defaultdict(set)
        for node in graph.nodes:
            for value in node.inputs:
                self._consumers[value].add(node.index)
        self._next_index = -1
        self.steps = 0

    def apply(self, record: SavedRecord) -> Iterator[str]:
        indices = [index for index in dict.fromkeys(record.node_indices) if index is not None]
        if not all(index in self._nodes for index in indices):
            return
        if not record.target_position < len(record.node_indices):
            yield f"{_label(record)} names no target node"
            return
        target_index = record.node_indices[record.target_position]
        if target_index is None:
            yield f"{_label(record)} names no target node"
            return
        nodes = [self._nodes[index] for index in indices]
        self.steps += sum(len(node.inputs) + len(node.outputs) for node in nodes)
        outside = self._outside(nodes, self._nodes[target_index], record)
        if outside:
            yield _sentence(record, self._nodes[target_index], outside[0])
        self._replace(nodes, record)

    def _outside(self, nodes: list[Node], target: Node, record: SavedRecord) -> list[Node]:
        """Return the consumers that keep the target from being removed."""
        if not record.output_count:  # the target's outputs pass to the new node
            return []
        inside = {node.index for node in nodes}
        consumers = {index for value in target.outputs for index in self._consumers[value]}
        self.steps += len(consumers)
        return [self._nodes[index] for index in sorted(consumers - inside) if index in self._nodes]

    def _replace(self, nodes: list[Node], record: SavedRecord) -> None:
        """Put one node in place of those that can be removed."""
        inside = {node.index for node in nodes}
        passed_on = {value for node in self._sources(nodes, record) for value in node.outputs}
        taken: set[str] = {value for node in nodes for value in node.inputs}
        for node in nodes:
            kept = {value for value in node.outputs if value not in passed_on}
            if all(self._consumers[value] <= inside for value in kept):
                del self._nodes[node.index]
        for node in nodes:
            if node.index not in self._nodes:
                for value in node.inputs:
                    self._consumers[value].discard(node.index)
        made_inside = {value for node in nodes for value in node.outputs}
        for value in taken - made_inside:
            self._consumers[value].add(self._next_index)
        self._nodes[self._next_index] = Node(
            index=self._next_index,
            name="",
            domain="",
            operator="the node of an earlier record",
            since_version=0,
            execution_provider="",
            inputs=tuple(taken - made_inside),
            outputs=tuple(passed_on),
            attributes=(),
        )
        self._next_index -= 1

    def _sources(self, nodes: list[Node], record: SavedRecord) -> list[Node]:
        """Return the nodes whose outputs pass to the new node."""
        start = record.target_position + 1
        wanted = record.node_indices[start : start + record.output_count]
        if not record.output_count:
            wanted = record.node_indices[record.target_position : start]
        return [node for node in nodes if node.index in wanted]


def _label(record: SavedRecord) -> str:
    return f"the saved {record.optimizer} record of nodes {_numbers(record)}"


def _numbers(record: SavedRecord) -> str:
    return ", ".join(str(index) for index in record.node_indices if index is not None)


def _sentence(record: SavedRecord, target: Node, consumer: Node) -> str:
    made = record.produced_operators[0].split(":")[-2] if record.produced_operators else "a node"
    return (
        f"{_label(record)} replaces {target.operator} {_quoted(target)} by {made}, but "
        f"{consumer.operator} {_quoted(consumer)}, which consumes its output, is not in the record"
    )


def _quoted(node: Node) -> str:
    return f"'{node.name}'" if node.name else f"number {node.index}"
