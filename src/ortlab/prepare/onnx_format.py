"""Reader of `.onnx` files: the same summary as of `.ort`; external data stays on disk."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from ortlab.domain import ModelSpec, TensorSpec
from ortlab.errors import ModelError
from ortlab.ort_releases import ModelKind
from ortlab.prepare.cache import hash_file, model_digest
from ortlab.prepare.flatbuffer import MalformedError
from ortlab.prepare.graph import (
    MAX_SUBGRAPH_DEPTH,
    Attribute,
    AttributeValue,
    Graph,
    Initializer,
    Node,
    ParsedModel,
    dimension_symbol,
    element_type_name,
)

if TYPE_CHECKING:
    import onnx

MAX_FILE_BYTES: Final = (1 << 31) - 1  # protobuf's own limit

_CHUNK_BYTES = 1 << 20
_MAX_TYPE_DEPTH = 16
_ATTRIBUTE_FIELDS = {
    1: ("float", "f"), 2: ("int", "i"), 3: ("string", "s"), 4: ("tensor", "t"),
    5: ("graph", "g"), 6: ("floats", "floats"), 7: ("ints", "ints"), 8: ("strings", "strings"),
    9: ("tensors", "tensors"), 10: ("graphs", "graphs"), 11: ("sparse tensor", "sparse_tensor"),
    12: ("sparse tensors", "sparse_tensors"), 13: ("type", "tp"), 14: ("types", "type_protos"),
}  # fmt: skip
# The typed field of a tensor without raw data, the array code of its values, and their mask.
_TYPED_FIELDS: dict[str, tuple[str, str, int | None]] = {
    "float": ("float_data", "f", None),
    "complex64": ("float_data", "f", None),
    "double": ("double_data", "d", None),
    "complex128": ("double_data", "d", None),
    "int64": ("int64_data", "q", None),
    "uint64": ("uint64_data", "Q", None),
    "uint32": ("uint64_data", "I", 0xFFFFFFFF),
    "int32": ("int32_data", "i", None),
    **dict.fromkeys(("int16", "uint16", "float16", "bfloat16"), ("int32_data", "H", 0xFFFF)),
}
_OTHER_TYPED_FIELD: tuple[str, str, int | None] = ("int32_data", "B", 0xFF)


def read_onnx(path: Path, *, content: bool = False) -> ParsedModel:
    """Read an `.onnx` file.

    Args:
        path: The file; external data lies beside it or below its directory.
        content: Also hash the data of every tensor.

    Raises:
        ModelError: It cannot be read, is not a sound ONNX model, or names external data that is
            missing or outside its directory.
    """
    try:
        data = _read(path)
        sha256, size_bytes = hashlib.sha256(data).hexdigest(), len(data)
        proto = _parse(data)
        del data
        return _Reader(path, proto, content=content).model(sha256, size_bytes)
    except MalformedError as error:
        message = f"cannot read {path} as an ONNX model: {error}"
        raise ModelError(message, next_step="export the model again") from error
    except OSError as error:
        message = f"cannot read {path}: {error.strerror or error}"
        raise ModelError(message) from error


def _read(path: Path) -> bytes:
    size_bytes = path.stat().st_size
    if not 0 < size_bytes <= MAX_FILE_BYTES:
        message = f"{size_bytes} bytes are too few or too many"
        raise MalformedError(message)
    return path.read_bytes()


def _parse(data: bytes) -> onnx.ModelProto:
    import onnx

    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except Exception as error:  # protobuf's own error, whose type has no stubs
        message = str(error).partition("\n")[0]
        raise MalformedError(message) from error
    return proto


@dataclass(slots=True)
class _ExternalData:
    """The files of external data that a model names.

    Attributes:
        directory: Of the model.
        files: Location in the model to file.
    """

    directory: Path
    files: dict[str, Path] = field(default_factory=dict)

    def part(self, tensor: onnx.TensorProto) -> tuple[Path, int, int]:
        """Return the file, offset and length of a tensor's data."""
        stated = {_text(entry.key): _text(entry.value) for entry in tensor.external_data}
        file = self._file(stated.get("location", ""))
        try:
            offset = int(stated.get("offset", "0") or "0")
            available = file.stat().st_size - offset
            length = int(stated.get("length", "0") or "0") or available
        except ValueError as error:
            message = f"the external data of {tensor.name!r} has no sound offset and length"
            raise MalformedError(message) from error
        if offset < 0 or not 0 <= length <= available:
            message = f"the external data of {tensor.name!r} lies outside {file.name}"
            raise MalformedError(message)
        return file, offset, length

    def _file(self, location: str) -> Path:
        if location in self.files:
            return self.files[location]
        stated = PurePosixPath(location)
        file = self.directory / location if "\0" not in location else self.directory
        inside = file.resolve().is_relative_to(self.directory.resolve())
        if stated.is_absolute() or ".." in stated.parts or not inside:
            message = f"its external data {location!r} is outside the model's directory"
            raise MalformedError(message)
        if not file.is_file():
            message = f"its external data {location!r} is missing"
            raise MalformedError(message)
        self.files[location] = file
        return file


class _Reader:
    def __init__(self, path: Path, proto: onnx.ModelProto, *, content: bool) -> None:
        self._path = path
        self._proto = proto
        self._content = content
        self._external = _ExternalData(path.parent)
        self._opsets = {_domain(item.domain): item.version for item in proto.opset_import}
        self._since = _SinceVersions(self._opsets)

    def model(self, sha256: str, size_bytes: int) -> ParsedModel:
        proto = self._proto
        if not proto.HasField("graph"):
            message = "it holds no graph"
            raise MalformedError(message)
        graph = self._graph(proto.graph, 0)
        functions = {
            f"{_domain(function.domain)}:{_text(function.name)}": self._function(function)
            for function in proto.functions
        }
        files = self._external.files
        hashes = {location: hash_file(file) for location, file in files.items()}
        spec = ModelSpec(
            file_name=self._path.name,
            sha256=model_digest(sha256, hashes),
            size_bytes=size_bytes
            + sum(file.stat().st_size for file in set(map(Path.resolve, files.values()))),
            ir_version=proto.ir_version,
            opsets=self._opsets,
            producer=f"{_text(proto.producer_name)} {_text(proto.producer_version)}".strip(),
            metadata={_text(item.key): _text(item.value) for item in proto.metadata_props},
            inputs=graph.inputs,
            outputs=graph.outputs,
        )
        return ParsedModel(
            kind=ModelKind.ONNX,
            spec=spec,
            format_version=None,
            graph=graph,
            functions=functions,
            extra=self._extra(),
        )

    def _extra(self) -> dict[str, tuple[str, ...]]:
        proto = self._proto
        return {
            "documentation": (_text(proto.doc_string), _text(proto.graph.doc_string)),
            "model": (_text(proto.domain), str(proto.model_version)),
            "functions": tuple(
                f"{_domain(function.domain)}:{_text(function.name)}"
                f" {_domain(item.domain)} {item.version}"
                for function in proto.functions
                for item in function.opset_import
            ),
        }

    def _graph(self, proto: onnx.GraphProto, depth: int) -> Graph:
        if depth > MAX_SUBGRAPH_DEPTH:
            message = f"its subgraphs are nested more than {MAX_SUBGRAPH_DEPTH} deep"
            raise MalformedError(message)
        initializers = (
            *(self._tensor(tensor) for tensor in proto.initializer),
            *(self._sparse(tensor) for tensor in proto.sparse_initializer),
        )
        constants = {tensor.name for tensor in initializers}
        described = tuple(map(_value, proto.input))
        inputs = tuple(spec for spec in described if spec.name not in constants)
        values = tuple(map(_value, proto.value_info))
        nodes = tuple(self._node(at, node, depth) for at, node in enumerate(proto.node))
        used = {name for node in nodes for name in (*node.inputs, *node.outputs)}
        return Graph(
            nodes=nodes,
            inputs=inputs,
            outputs=tuple(map(_value, proto.output)),
            initializers=initializers,
            values=tuple(spec for spec in values if spec.name in used),
            unused_values=tuple(spec.name for spec in values if spec.name not in used),
        )

    def _function(self, proto: onnx.FunctionProto) -> Graph:
        def untyped(name: str | bytes) -> TensorSpec:
            return TensorSpec(name=_text(name), element_type="undefined", shape=None)

        return Graph(
            nodes=tuple(self._node(at, node, 0) for at, node in enumerate(proto.node)),
            inputs=tuple(map(untyped, proto.input)),
            outputs=tuple(map(untyped, proto.output)),
            initializers=(),
        )

    def _node(self, index: int, proto: onnx.NodeProto, depth: int) -> Node:
        attributes = [self._attribute(attribute, depth) for attribute in proto.attribute]
        domain, operator = _domain(proto.domain), _text(proto.op_type)
        return Node(
            index=index,
            name=_text(proto.name),
            domain=domain,
            operator=operator,
            since_version=self._since.of(domain, operator),
            execution_provider="",
            inputs=tuple(map(_text, proto.input)),
            outputs=tuple(map(_text, proto.output)),
            attributes=tuple(sorted(attributes, key=lambda attribute: attribute.name)),
        )

    def _attribute(self, proto: onnx.AttributeProto, depth: int) -> Attribute:
        kind, name = _ATTRIBUTE_FIELDS.get(proto.type, ("", ""))
        value: AttributeValue
        if not kind or proto.ref_attr_name:
            kind = kind or f"type {proto.type}"
            value = proto.SerializeToString(deterministic=True)
        else:
            value = self._attribute_value(kind, getattr(proto, name), depth)
        return Attribute(name=_text(proto.name), kind=kind, value=value)

    def _attribute_value(self, kind: str, value: Any, depth: int) -> AttributeValue:
        convert: dict[str, Callable[[Any], Any]] = {
            "tensor": self._tensor,
            "graph": partial(self._graph, depth=depth + 1),
            "sparse tensor": self._sparse,
            "type": partial(_typed, ""),
        }
        one = convert.get(kind.removesuffix("s"), lambda item: item)
        if kind.endswith("s"):
            return tuple(one(item) for item in value)
        result: AttributeValue = one(value)
        return result

    def _tensor(self, proto: onnx.TensorProto) -> Initializer:
        element_type = element_type_name(proto.data_type)
        hashed, size_bytes = hashlib.sha256(), 0
        for chunk in self._data(proto, element_type):
            size_bytes += len(chunk)
            if self._content:
                hashed.update(chunk)
        if proto.data_location == proto.EXTERNAL and not self._content:
            size_bytes = self._external.part(proto)[2]
        return Initializer(
            name=_text(proto.name),
            element_type=element_type,
            shape=tuple(proto.dims),
            size_bytes=size_bytes,
            data_sha256=hashed.hexdigest() if self._content else "",
        )

    def _data(self, proto: onnx.TensorProto, element_type: str) -> Iterator[bytes]:
        """Yield the data as it would stand in raw form; external data only for content."""
        if proto.data_location == proto.EXTERNAL:
            if self._content:
                yield from _file_part(*self._external.part(proto))
        elif proto.HasField("raw_data"):
            yield proto.raw_data
        elif element_type == "string":
            yield from (b"%d:" % len(text) + text for text in proto.string_data)
        else:
            name, code, mask = _TYPED_FIELDS.get(element_type, _OTHER_TYPED_FIELD)
            values: Sequence[Any] = getattr(proto, name)
            yield array(code, values if mask is None else [v & mask for v in values]).tobytes()

    def _sparse(self, proto: onnx.SparseTensorProto) -> Initializer:
        values, indices = self._tensor(proto.values), self._tensor(proto.indices)
        return Initializer(
            name=values.name,
            element_type=f"sparse {values.element_type}",
            shape=tuple(proto.dims),
            size_bytes=values.size_bytes + indices.size_bytes,
            data_sha256=" ".join(f"{part.shape}{part.data_sha256}" for part in (values, indices)),
        )


class _SinceVersions:
    """Looks up which opset defined the version of an operator that a model uses."""

    def __init__(self, opsets: dict[str, int]) -> None:
        self._opsets = opsets
        self._known: dict[tuple[str, str], int] = {}

    def of(self, domain: str, operator: str) -> int:
        """Return the opset, or 0 for an operator that onnx does not know."""
        key = (domain, operator)
        if key not in self._known:
            self._known[key] = self._look_up(domain, operator)
        return self._known[key]

    def _look_up(self, domain: str, operator: str) -> int:
        import onnx

        version = self._opsets.get(domain, 0)
        if not 0 < version < 1 << 31:
            return 0
        with suppress(onnx.defs.SchemaError, TypeError, ValueError):
            schema_domain = "" if domain == "ai.onnx" else domain
            return int(onnx.defs.get_schema(operator, version, schema_domain).since_version)
        return 0


def _text(value: str | bytes) -> str:
    """Return a string field: protobuf gives bytes for what is not UTF-8."""
    return value if isinstance(value, str) else value.decode(errors="backslashreplace")


def _domain(name: str | bytes) -> str:
    return _text(name) or "ai.onnx"


def _file_part(file: Path, offset: int, length: int) -> Iterator[bytes]:
    with file.open("rb") as stream:
        stream.seek(offset)
        while length > 0 and (chunk := stream.read(min(length, _CHUNK_BYTES))):
            length -= len(chunk)
            yield chunk


def _value(proto: onnx.ValueInfoProto) -> TensorSpec:
    return _typed(_text(proto.name), proto.type)


def _typed(name: str, proto: onnx.TypeProto) -> TensorSpec:
    element_type, shape = _type(proto, 0)
    return TensorSpec(name=name, element_type=element_type, shape=shape)


def _type(proto: onnx.TypeProto, depth: int) -> tuple[str, tuple[int | str | None, ...] | None]:
    """Return a type in words, and the shape of a tensor."""
    if depth > _MAX_TYPE_DEPTH:
        message = f"a type is nested more than {_MAX_TYPE_DEPTH} deep"
        raise MalformedError(message)
    match proto.WhichOneof("value"):
        case "tensor_type":
            return element_type_name(proto.tensor_type.elem_type), _shape(proto.tensor_type)
        case "sparse_tensor_type":
            sparse = proto.sparse_tensor_type
            return f"sparse {element_type_name(sparse.elem_type)}", _shape(sparse)
        case "sequence_type":
            return f"sequence({_type(proto.sequence_type.elem_type, depth + 1)[0]})", None
        case "optional_type":
            return f"optional({_type(proto.optional_type.elem_type, depth + 1)[0]})", None
        case "map_type":
            key = element_type_name(proto.map_type.key_type)
            return f"map({key}, {_type(proto.map_type.value_type, depth + 1)[0]})", None
    return "undefined", None


def _shape(proto: Any) -> tuple[int | str | None, ...] | None:
    if not proto.HasField("shape"):
        return None
    return tuple(map(_dimension, proto.shape.dim))


def _dimension(proto: onnx.TensorShapeProto.Dimension) -> int | str | None:
    if proto.HasField("dim_value"):
        return proto.dim_value if proto.dim_value >= 0 else None
    return dimension_symbol(_text(proto.dim_param))
