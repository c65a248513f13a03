import type { Tensor as OrtTensor } from "onnxruntime-web";

import { SdkError } from "./errors";
import type { Ort } from "./runtime";
import { arrays } from "./tensors";
import type { ElementType, Tensor, TensorData } from "./tensors";

/** What onnxruntime-web calls the element types. */
export const ortTypes: Readonly<Record<ElementType, OrtTensor.Type>> = {
  float: "float32",
  double: "float64",
  float16: "float16",
  int8: "int8",
  int16: "int16",
  int32: "int32",
  int64: "int64",
  uint8: "uint8",
  uint16: "uint16",
  uint32: "uint32",
  uint64: "uint64",
  bool: "bool",
  string: "string",
};

const ours = new Map(Object.entries(ortTypes).map(([type, ort]) => [ort, type as ElementType]));

/** Returns ONNX's word for one of onnxruntime-web's types; undefined for those of four bits. */
export function elementTypeOf(type: OrtTensor.Type): ElementType | undefined {
  return ours.get(type);
}

/**
 * Returns a tensor for the runtime; the elements are not copied.
 *
 * @throws SdkError `invalid-elements`: a text would not arrive as it is.
 */
export function toOrt(ort: Ort, tensor: Tensor): OrtTensor {
  if (tensor.type === "string") (tensor.data as string[]).forEach(checkText);
  return new ort.Tensor(ortTypes[tensor.type], tensor.data, tensor.shape);
}

/** onnxruntime-web cuts a text at its first U+0000, and has no UTF-8 for half a character. */
function checkText(text: string): void {
  if (!text.includes("\0") && !/\p{Surrogate}/u.test(text)) return;
  const message = `The runtime cannot take the text ${JSON.stringify(text.slice(0, 80))}`;
  throw new SdkError("invalid-elements", message);
}

/**
 * Returns a tensor that the runtime gave; the elements are not copied.
 *
 * @throws SdkError `run-failed`: this SDK has no such type.
 */
export async function fromOrt(tensor: OrtTensor): Promise<Tensor> {
  const type = elementTypeOf(tensor.type);
  if (type === undefined) {
    throw new SdkError("run-failed", `An output has the type ${tensor.type}, which has no array`);
  }
  const data: unknown = tensor.location === "cpu" ? tensor.data : await tensor.getData();
  return { type, shape: tensor.dims, data: ownArray(type, data) };
}

/** Half precision comes as its bits, also where the browser has an array for it. */
function ownArray(type: ElementType, data: unknown): TensorData[ElementType] {
  if (type === "float16" && !(data instanceof arrays.float16) && ArrayBuffer.isView(data)) {
    return new Uint16Array(data.buffer, data.byteOffset, data.byteLength / 2);
  }
  return data as TensorData[ElementType];
}
