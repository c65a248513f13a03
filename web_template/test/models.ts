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
  const value = (name: string): number[] =>
    [...text(1, name), ...bytes(2, bytes(1, number(1, types[type])))];
  const node = [...text(1, "x"), ...text(2, "y"), ...text(4, "Identity")];
  const graph = [
    ...bytes(1, node),
    ...text(2, "identity"),
    ...bytes(11, value("x")),
    ...bytes(12, value("y")),
  ];
  const opset = [...text(1, ""), ...number(2, 13)];
  return Uint8Array.from([...number(1, 8), ...bytes(7, graph), ...bytes(8, opset)]);
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
