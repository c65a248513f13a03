import type { ElementType } from "../src/sdk/tensors";

/** ONNX's numbers of element types; source: `TensorProto.DataType`. */
const types: Readonly<Record<ElementType, number>> = {
  float: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  string: 8,
  bool: 9,
  float16: 10,
  double: 11,
  uint32: 12,
  uint64: 13,
};

/** Returns an ONNX model with one node that gives back what it takes, of any shape and rank. */
export function identityModel(type: ElementType): Uint8Array<ArrayBuffer> {
  const node = [...text(1, "x"), ...text(2, "y"), ...text(4, "Identity")];
  return model(node, [value("x", type)], value("y", type));
}

/** Returns an ONNX model that makes one number, `x`, as many as the shape `s` says. */
export function expandingModel(): Uint8Array<ArrayBuffer> {
  const node = [...text(1, "x"), ...text(1, "s"), ...text(2, "y"), ...text(4, "Expand")];
  return model(node, [value("x", "float"), value("s", "int64")], value("y", "float"));
}

function model(
  node: readonly number[],
  inputs: readonly number[][],
  output: readonly number[],
): Uint8Array<ArrayBuffer> {
  const graph = [
    ...bytes(1, node),
    ...text(2, "graph"),
    ...inputs.flatMap((input) => bytes(11, input)),
    ...bytes(12, output),
  ];
  const opset = [...text(1, ""), ...number(2, 13)];
  return Uint8Array.from([...number(1, 8), ...bytes(7, graph), ...bytes(8, opset)]);
}

/** An input or output of any shape and rank. */
function value(name: string, type: ElementType): number[] {
  return [...text(1, name), ...bytes(2, bytes(1, number(1, types[type])))];
}

// Protocol buffers: a field is its number and wire type, then a number, or a length and bytes.


function number(field: number, value: number): number[] {
  return [...varint(field << 3), ...varint(value)];
}

function bytes(field: number, content: readonly number[]): number[] {
  return [...varint((field << 3) | 2), ...varint(content.length), ...content];
}

function text(field: number, content: string): number[] {
  return bytes(field, Array.from(new TextEncoder().encode(content)));
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)];
}
