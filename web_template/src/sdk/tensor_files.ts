import { SdkError } from "./errors";
import { arrays, checkData, elementCount } from "./tensors";
import type { ElementType, Tensor, TensorData } from "./tensors";

/**
 * Returns the tensor that a file holds: its elements in C order, little-endian, without a header;
 * a text is its length in bytes, in 32 bits, and UTF-8.
 *
 * @throws SdkError `invalid-elements`: the bytes are not exactly this type and shape.
 */
export function decodeTensor<T extends ElementType>(
  type: T,
  shape: readonly number[],
  bytes: Uint8Array,
): Tensor<T> {
  const count = elementCount(shape);
  const data =
    type === "string"
      ? decodeTexts(bytes, count)
      : decodeNumbers(type, shape, count, bytes);
  const decoded = { type, shape: [...shape], data: data as TensorData[T] };
  checkData(decoded, "the file");
  return decoded;
}

/** Returns the bytes of a tensor's file; see `decodeTensor`. */
export function encodeTensor(tensor: Tensor): Uint8Array {
  if (tensor.type === "string") return encodeTexts(tensor.data as string[]);
  const { buffer, byteOffset, byteLength } = tensor.data as Uint8Array;
  return new Uint8Array(buffer, byteOffset, byteLength);
}

// Every machine that a browser runs on is little-endian, as the files are.
function decodeNumbers(
  type: Exclude<ElementType, "string">,
  shape: readonly number[],
  count: number,
  bytes: Uint8Array,
): ArrayBufferView {
  const needed = count * arrays[type].BYTES_PER_ELEMENT;
  if (bytes.length !== needed) {
    const message = `${type}[${shape.join(", ")}] takes ${needed} bytes, there are ${bytes.length}`;
    throw new SdkError("invalid-elements", message);
  }
  const data = new arrays[type](count);
  new Uint8Array(data.buffer).set(bytes);
  return data;
}

function decodeTexts(bytes: Uint8Array, count: number): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const texts: string[] = [];
  let at = 0;
  try {
    while (texts.length < count) {
      const start = at + 4;
      at = start + view.getUint32(at, true);
      if (at > bytes.length) throw new RangeError("a text is cut off");
      texts.push(decoder.decode(bytes.subarray(start, at)));
    }
    if (at !== bytes.length) throw new RangeError(`${bytes.length - at} bytes are left over`);
  } catch (error) {
    const message = `The bytes do not hold exactly ${count} texts`;
    throw new SdkError("invalid-elements", message, { cause: error });
  }
  return texts;
}

function encodeTexts(texts: readonly string[]): Uint8Array {
  const parts = texts.map((text) => new TextEncoder().encode(text));
  const bytes = new Uint8Array(parts.reduce((size, part) => size + 4 + part.length, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const part of parts) {
    view.setUint32(at, part.length, true);
    bytes.set(part, at + 4);
    at += 4 + part.length;
  }
  return bytes;
}
