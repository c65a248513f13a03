"""Reader of `.ort` files, format versions 1 to 6, without ORT.

Fields are named by their number in ORT's schema (`onnxruntime/core/flatbuffers/schema/ort.fbs`).
Importing the wheel's own accessors would load the native library, and they trust every offset.
"""

from __future__ import annotations

import hashlib
import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ortlab.domain import ModelSpec, TensorSpec
from ortlab.errors import ModelError
from ortlab.ort_releases import ModelKind
from ortlab.prepare.flatbuffer import MAX_BUFFER_BYTES, FlatBuffer, MalformedError, Table
from ortlab.prepare.graph import (
    MAX_SUBGRAPH_DEPTH,
    Attribute,
    AttributeValue,
    Graph,
    Initializer,
    Node,
    ParsedModel,
    SavedRecord,
    dimension_symbol,
    element_type_name,
)

IDENTIFIER: Final = b"ORTM"
NEWEST_FORMAT: Final = 6

_INT8 = struct.Struct("<b")
_UINT8 = struct.Struct("<B")
_BOOL = struct.Struct("<?")
_INT32 = struct.Struct("<i")
_UINT32 = struct.Struct("<I")
_INT64 = struct.Struct("<q")
_FLOAT = struct.Struct("<f")

_MAX_TYPE_DEPTH = 16
_NO_NODE = 0xFFFFFFFF
_ELEMENT_BITS = {
    "float": 32, "double": 64, "float16": 16, "bfloat16": 16, "bool": 8,
    "int8": 8, "int16": 16, "int32": 32, "int64": 64,
    "uint8": 8, "uint16": 16, "uint32": 32, "uint64": 64,
    "complex64": 64, "complex128": 128, "int4": 4, "uint4": 4,
}  # fmt: skip
_ATTRIBUTE_KINDS = (
    "undefined", "float", "int", "string", "tensor", "graph", "floats", "ints", "strings",
    "tensors", "graphs", "sparse tensor", "sparse tensors",
)  # fmt: skip


def read_ort(path: Path, *, content: bool = False) -> ParsedModel:
    """Read an `.ort` file.

    Args:
        path: The file.
        content: Also hash the data of every tensor.

    Raises:
        ModelError: It cannot be read, or is not a sound `.ort` file of a known format.
    """
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            size_bytes = file.seek(0, 2)
            if not 8 <= size_bytes <= MAX_BUFFER_BYTES:
                message = f"{size_bytes} bytes are too few or too many"
                raise MalformedError(message)
            # Not closed by hand: a traceback may still hold views of it.
            mapped = mmap.mmap(file.fileno(), size_bytes, access=mmap.ACCESS_READ)
        return _Reader(FlatBuffer(memoryview(mapped)), content=content).model(path.name, sha256)
    except MalformedError as error:
        message = f"cannot read {path} as an ORT format model: {error}"
        raise ModelError(message, next_step="convert the model again") from error
    except OSError as error:
        message = f"cannot read {path}: {error.strerror or error}"
        raise ModelError(message) from error


class _Reader:
    def __init__(self, buffer: FlatBuffer, *, content: bool) -> None:
        self._buffer = buffer
        self._content = content

    def model(self, file_name: str, sha256: str) -> ParsedModel:
        session = self._buffer.root(IDENTIFIER)
        stated = session.string(0) or ""
        if not (stated.isascii() and stated.isdigit() and 1 <= int(stated) <= NEWEST_FORMAT):
            message = f"it states format version {stated!r}; 1 to {NEWEST_FORMAT} are known"
            raise MalformedError(message)
        model = session.table(1)
        main = model.table(7) if model else None
        if model is None or main is None:
            message = "it holds no graph"
            raise MalformedError(message)
        graph = self._graph(main, 0)
        producer = (model.string(2) or "", model.string(3) or "")
        extra = {
            "documentation": (model.string(6) or "", model.string(8) or ""),
            "model": (model.string(4) or "", str(model.number(5, _INT64))),
            "kernels": tuple(sorted(_kernels(session))),
        }
        spec = ModelSpec(
            file_name=file_name,
            sha256=sha256,
            size_bytes=len(self._buffer.data),
            ir_version=model.number(0, _INT64),
            opsets={_domain(entry.string(0)): entry.number(1, _INT64) for entry in model.tables(1)},
            producer=" ".join(part for part in producer if part),
            metadata={entry.string(0) or "": entry.string(1) or "" for entry in model.tables(9)},
            inputs=graph.inputs,
            outputs=graph.outputs,
        )
        return ParsedModel(
            kind=ModelKind.ORT,
            spec=spec,
            format_version=int(stated),
            graph=graph,
            functions={},
            extra=extra,
        )

    def _graph(self, table: Table, depth: int) -> Graph:
        if depth > MAX_SUBGRAPH_DEPTH:
            message = f"its subgraphs are nested more than {MAX_SUBGRAPH_DEPTH} deep"
            raise MalformedError(message)
        nodes = tuple(self._node(node, depth) for node in table.tables(2))
        initializers = (
            *(self._tensor(tensor) for tensor in table.tables(0)),
            *(self._sparse(tensor) for tensor in table.tables(7)),
        )
        values = {spec.name: spec for spec in map(self._value, table.tables(1))}
        constants = {tensor.name for tensor in initializers}
        inputs = [name for name in table.strings(5) if name not in constants]
        outputs = table.strings(6)
        used = {name for node in nodes for name in (*node.inputs, *node.outputs)}
        named = constants.union(inputs, outputs)
        return Graph(
            nodes=nodes,
            inputs=tuple(_described(name, values) for name in inputs),
            outputs=tuple(_described(name, values) for name in outputs),
            initializers=initializers,
            values=tuple(
                spec for spec in values.values() if spec.name in used and spec.name not in named
            ),
            unused_values=tuple(name for name in values if name not in used),
            records=tuple(_records(table.table(8))),
            edges=tuple(sorted(_edges(table))) if self._content else (),
        )

    def _node(self, table: Table, depth: int) -> Node:
        attributes = [self._attribute(attribute, depth) for attribute in table.tables(10)]
        return Node(
            index=table.number(4, _UINT32),
            name=table.string(0) or "",
            domain=_domain(table.string(2)),
            operator=table.string(5) or "",
            since_version=table.number(3, _INT32),
            execution_provider=table.string(7) or "",
            inputs=table.strings(8) + table.strings(12),
            outputs=table.strings(9),
            attributes=tuple(sorted(attributes, key=lambda attribute: attribute.name)),
        )

    def _attribute(self, table: Table, depth: int) -> Attribute:
        number = table.number(2, _INT32)
        kind = _ATTRIBUTE_KINDS[number] if 0 <= number < len(_ATTRIBUTE_KINDS) else str(number)
        return Attribute(
            name=table.string(0) or "", kind=kind, value=self._attribute_value(kind, table, depth)
        )

    def _attribute_value(self, kind: str, table: Table, depth: int) -> AttributeValue:
        match kind:
            case "float":
                return float(table.number(3, _FLOAT, 0.0))
            case "int":
                return int(table.number(4, _INT64))
            case "string":
                return bytes(table.view(5) or b"")
            case "tensor":
                tensor = table.table(6)
                return self._tensor(tensor) if tensor else None
            case "graph":
                graph = table.table(7)
                return self._graph(graph, depth + 1) if graph else None
            case "floats":
                return table.numbers(8, "f")
            case "ints":
                return table.numbers(9, "q")
            case "strings":
                return tuple(text.encode() for text in table.strings(10))
            case "tensors":
                return tuple(self._tensor(tensor) for tensor in table.tables(11))
            case "graphs":
                return tuple(self._graph(graph, depth + 1) for graph in table.tables(12))
        return None

    def _tensor(self, table: Table) -> Initializer:
        element_type = element_type_name(table.number(3, _INT32))
        shape = table.numbers(2, "q")
        data, digest = table.view(4), ""
        strings = table.strings(5)
        if data is not None:
            size_bytes = len(data)
        elif strings:
            size_bytes = sum(len(text.encode()) for text in strings)
        elif table.number(6, _INT64, -1) >= 0:  # outside the file
            size_bytes = _size_bytes(element_type, shape)
        else:
            size_bytes = 0
        if self._content:
            hashed = hashlib.sha256(data if data is not None else b"")
            for text in strings:
                hashed.update(b"%d:" % len(text) + text.encode())
            digest = hashed.hexdigest()
        return Initializer(
            name=table.string(0) or "",
            element_type=element_type,
            shape=shape,
            size_bytes=size_bytes,
            data_sha256=digest,
        )

    def _sparse(self, table: Table) -> Initializer:
        """A sparse initializer carries its name on its values."""
        parts = [self._tensor(part) for part in (table.table(0), table.table(1)) if part]
        if not parts:
            message = "a sparse initializer has no values"
            raise MalformedError(message)
        return Initializer(
            name=parts[0].name,
            element_type=f"sparse {parts[0].element_type}",
            shape=table.numbers(2, "q"),
            size_bytes=sum(part.size_bytes for part in parts),
            data_sha256=" ".join(f"{part.shape}{part.data_sha256}" for part in parts),
        )

    def _value(self, table: Table) -> TensorSpec:
        element_type, shape = _type(table.table(2), 0)
        return TensorSpec(name=table.string(0) or "", element_type=element_type, shape=shape)


def _domain(name: str | None) -> str:
    return name or "ai.onnx"


def _described(name: str, values: dict[str, TensorSpec]) -> TensorSpec:
    unknown = TensorSpec(name=name, element_type="undefined", shape=None)
    return values.get(name, unknown)


def _size_bytes(element_type: str, shape: tuple[int, ...]) -> int:
    count = 1
    for dimension in shape:
        count *= max(0, dimension)
    return (count * _ELEMENT_BITS.get(element_type, 8) + 7) // 8


def _type(table: Table | None, depth: int) -> tuple[str, tuple[int | str | None, ...] | None]:
    """Return a type in words, and the shape of a tensor."""
    if depth > _MAX_TYPE_DEPTH:
        message = f"a type is nested more than {_MAX_TYPE_DEPTH} deep"
        raise MalformedError(message)
    value = table.table(2) if table else None
    if table is None or value is None:
        return "undefined", None
    match table.number(1, _UINT8):
        case 1:
            shape = value.table(1)
            dimensions = tuple(map(_dimension, shape.tables(0))) if shape else None
            return element_type_name(value.number(0, _INT32)), dimensions
        case 2:
            return f"sequence({_type(value.table(0), depth + 1)[0]})", None
        case 3:
            key = element_type_name(value.number(0, _INT32))
            return f"map({key}, {_type(value.table(1), depth + 1)[0]})", None
    return "undefined", None


def _dimension(table: Table) -> int | str | None:
    value = table.table(0)
    if value is None:
        return None
    match value.number(0, _INT8):
        case 1:
            size = int(value.number(1, _INT64))
            return size if size >= 0 else None
        case 2:
            return dimension_symbol(value.string(2) or "")
    return None


def _edges(graph: Table) -> Iterator[tuple[int, int, int, int]]:
    """Yield what each node's outputs feed; the table also lists every edge from its other end."""
    for entry in graph.tables(4):
        producer = entry.number(0, _UINT32)
        ends = entry.numbers(2, "Iii")
        for at in range(0, len(ends), 3):
            yield (producer, ends[at], ends[at + 1], ends[at + 2])


def _records(table: Table | None) -> Iterator[SavedRecord]:
    for group in table.tables(0) if table else ():
        optimizer = group.string(0) or ""
        for record in group.tables(1):
            yield _record(optimizer, record)


def _record(optimizer: str, record: Table) -> SavedRecord:
    chosen = record.table(1)
    if chosen is None:
        message = "a saved optimization names no nodes"
        raise MalformedError(message)
    inputs, outputs = chosen.number(1, _UINT32), chosen.number(2, _UINT32)
    if chosen.number(3, _BOOL, default=False):
        inputs += chosen.number(5, _UINT32) - 1
    if chosen.number(4, _BOOL, default=False):
        outputs += chosen.number(6, _UINT32) - 1
    return SavedRecord(
        optimizer=optimizer,
        action=record.string(0) or "",
        node_indices=tuple(
            None if index == _NO_NODE else index for index in chosen.numbers(0, "I")
        ),
        target_position=inputs,
        output_count=outputs,
        produced_operators=record.strings(3),
        produced_kernel_hashes=record.numbers(2, "Q"),
    )


def _kernels(session: Table) -> Iterator[str]:
    """Say how nodes find their kernels: hashes up to format 4, type strings from 5 on."""
    state = session.table(2)
    kernels = state.table(0) if state else None
    if kernels:
        hashes = zip(kernels.numbers(0, "I"), kernels.numbers(1, "Q"), strict=False)
        yield from (f"node {index}: kernel {kernel_hash:016x}" for index, kernel_hash in hashes)
    resolver = session.table(3)
    for entry in resolver.tables(0) if resolver else ():
        operator = entry.string(0) or ""
        for argument in entry.tables(1):
            places = [(use.number(0, _INT8), use.number(1, _UINT32)) for use in argument.tables(1)]
            yield f"{operator} {argument.string(0)}: {sorted(places)}"
