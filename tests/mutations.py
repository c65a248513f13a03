"""Broken `.onnx` and `.ort` files, made from good ones by a seed.

Blind mutations damage bytes; structural ones go through the protobuf, so that the file still
parses and gets as far as the runtime.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

Mutation = Callable[[random.Random, bytes], bytes]


@dataclass(frozen=True)
class Mutant:
    """One broken file.

    Attributes:
        name: Says what was done; a file name.
        data: The bytes.
    """

    name: str
    data: bytes


def _truncated(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data))]


def _bits_flipped(rng: random.Random, data: bytes) -> bytes:
    broken = bytearray(data)
    for _ in range(rng.choice((1, 1, 3, 20))):
        broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
    return bytes(broken)


def _head_flipped(rng: random.Random, data: bytes) -> bytes:
    broken = bytearray(data)
    for _ in range(rng.choice((1, 2, 5))):
        broken[rng.randrange(min(len(broken), 256))] = rng.randrange(256)
    return bytes(broken)


def _blocks_swapped(rng: random.Random, data: bytes) -> bytes:
    size = rng.choice((4, 8, 32, 256))
    if len(data) < 4 * size:
        return data[::-1]
    first, second = sorted(rng.sample(range(len(data) // size), 2))
    a, b = first * size, second * size
    return (
        data[:a] + data[b : b + size] + data[a + size : b] + data[a : a + size] + data[b + size :]
    )


def _words_overwritten(rng: random.Random, data: bytes) -> bytes:
    broken = bytearray(data)
    for _ in range(rng.choice((1, 4))):
        at = rng.randrange(0, max(1, len(broken) - 4), 4)
        word = rng.choice((0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, len(data), at))
        broken[at : at + 4] = word.to_bytes(4, "little")
    return bytes(broken)


def _tail_repeated(rng: random.Random, data: bytes) -> bytes:
    return data + data[-rng.randrange(1, min(len(data), 4096)) :]


def _with_model(change: Callable[[random.Random, onnx.ModelProto], None]) -> Mutation:
    def mutate(rng: random.Random, data: bytes) -> bytes:
        model = onnx.load_model_from_string(data)
        change(rng, model)
        return bytes(model.SerializeToString())

    return mutate


def _huge_dims(rng: random.Random, model: onnx.ModelProto) -> None:
    values = [*model.graph.input, *model.graph.output]
    for dim in rng.choice(values).type.tensor_type.shape.dim:
        dim.dim_value = rng.choice((2**31, 2**40, 2**62, -1, 10**9))


def _huge_initializer(rng: random.Random, model: onnx.ModelProto) -> None:
    if model.graph.initializer:
        tensor = rng.choice(model.graph.initializer)
        del tensor.dims[:]
        tensor.dims.extend(rng.choice(([2**40], [2**20, 2**20], [-3, 4], [2**62, 2**62])))


def _cycle(rng: random.Random, model: onnx.ModelProto) -> None:
    nodes = model.graph.node
    first, second = rng.choice(nodes), rng.choice(nodes)
    if first.input and second.output:
        first.input[rng.randrange(len(first.input))] = second.output[0]
    nodes.reverse() if rng.random() < 0.3 else None


def _inputs_swapped(rng: random.Random, model: onnx.ModelProto) -> None:
    first, second = rng.choice(model.graph.node), rng.choice(model.graph.node)
    if first.input and second.input:
        first.input[0], second.input[0] = second.input[0], first.input[0]


def _operator_renamed(rng: random.Random, model: onnx.ModelProto) -> None:
    node = rng.choice(model.graph.node)
    node.op_type = rng.choice(("NoSuchOperator", "Conv", "Softmax", "", "Relu\0", "Loop", "If"))
    if rng.random() < 0.2:
        node.domain = rng.choice(("no.such.domain", "com.microsoft"))


def _attribute_broken(rng: random.Random, model: onnx.ModelProto) -> None:
    nodes = [node for node in model.graph.node if node.attribute]
    if nodes:
        attribute = rng.choice(rng.choice(nodes).attribute)
        attribute.ints[:] = [rng.choice((-1, 0, 2**31, 2**62))] * rng.randrange(1, 9)
        attribute.i = rng.choice((-1, 0, 2**62))
        if rng.random() < 0.3:
            attribute.type = rng.randrange(0, 15)


def _types_confused(rng: random.Random, model: onnx.ModelProto) -> None:
    choice = rng.random()
    if choice < 0.4 and model.graph.initializer:
        rng.choice(model.graph.initializer).data_type = rng.randrange(0, 30)
    elif model.graph.input:
        rng.choice(model.graph.input).type.tensor_type.elem_type = rng.randrange(0, 30)


def _versions_wrong(rng: random.Random, model: onnx.ModelProto) -> None:
    if rng.random() < 0.5 and model.opset_import:
        model.opset_import[0].version = rng.choice((-1, 0, 1, 6, 27, 99, 2**40))
    else:
        model.ir_version = rng.choice((-1, 0, 1, 3, 14, 99, 2**40))


def _nested(rng: random.Random, model: onnx.ModelProto) -> None:
    graph = onnx.GraphProto(name="inner")
    for _ in range(rng.choice((5, 20, 30))):
        outer = onnx.GraphProto(name="g")
        node = outer.node.add(op_type="If", input=["c"], output=["y"])
        node.attribute.add(name="then_branch", type=onnx.AttributeProto.GRAPH).g.CopyFrom(graph)
        graph = outer
    model.graph.node.extend(graph.node)


def _duplicated(rng: random.Random, model: onnx.ModelProto) -> None:
    model.graph.node.add().CopyFrom(rng.choice(model.graph.node))


def _weights_missing(rng: random.Random, model: onnx.ModelProto) -> None:
    if model.graph.initializer:
        del model.graph.initializer[rng.randrange(len(model.graph.initializer))]


def _external_escape(rng: random.Random, model: onnx.ModelProto) -> None:
    if model.graph.initializer:
        tensor = rng.choice(model.graph.initializer)
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        location = rng.choice(("../../../../etc/passwd", "/etc/passwd", "missing.bin", ".", ""))
        tensor.external_data.add(key="location", value=location)
        tensor.external_data.add(key="offset", value=rng.choice(("0", "-5", "9" * 30, "x")))


def _values_poisoned(rng: random.Random, model: onnx.ModelProto) -> None:
    for tensor in model.graph.initializer:
        if tensor.raw_data and rng.random() < 0.5:
            tensor.raw_data = b"\xff" * len(tensor.raw_data)


BLIND: dict[str, Mutation] = {
    "truncated": _truncated,
    "bits-flipped": _bits_flipped,
    "head-flipped": _head_flipped,
    "blocks-swapped": _blocks_swapped,
    "words-overwritten": _words_overwritten,
    "tail-repeated": _tail_repeated,
}
STRUCTURAL: dict[str, Mutation] = {
    name: _with_model(change)
    for name, change in {
        "huge-dims": _huge_dims,
        "huge-initializer": _huge_initializer,
        "cycle": _cycle,
        "inputs-swapped": _inputs_swapped,
        "operator-renamed": _operator_renamed,
        "attribute-broken": _attribute_broken,
        "types-confused": _types_confused,
        "versions-wrong": _versions_wrong,
        "nested": _nested,
        "duplicated": _duplicated,
        "weights-missing": _weights_missing,
        "external-escape": _external_escape,
        "values-poisoned": _values_poisoned,
    }.items()
}


def mutants(originals: Sequence[Path], count: int, seed: int) -> list[Mutant]:
    """Return ``count`` broken files of ``originals``, the same ones for the same seed."""
    rng = random.Random(seed)
    made = []
    for number in range(count):
        original = originals[number % len(originals)]
        pool = BLIND if original.suffix == ".ort" or rng.random() < 0.4 else STRUCTURAL
        kind = rng.choice(sorted(pool))
        data = pool[kind](rng, original.read_bytes())
        made.append(Mutant(name=f"{number:04d}-{kind}{original.suffix}", data=data))
    return made
