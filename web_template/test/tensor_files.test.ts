import { describe, expect, it } from "vitest";

import { SdkError } from "../src/sdk/errors";
import { fromHalf } from "../src/sdk/half";
import { decodeTensor, encodeTensor } from "../src/sdk/tensor_files";
import { elementTypes } from "../src/sdk/tensors";
import type { ElementType, Tensor } from "../src/sdk/tensors";
import { hasVectors, protocolJson } from "./vectors";

interface TensorCase {
  readonly name: string;
  readonly element_type: ElementType | "bfloat16";
  readonly shape: number[];
  readonly values: (number | string | boolean)[];
  readonly hex: string;
}

const vectors = hasVectors
  ? protocolJson<{ valid: TensorCase[]; invalid: TensorCase[] }>("tensor_files/tensors.json")
  : { valid: [], invalid: [] };

const known = ({ element_type: type }: TensorCase): boolean => type !== "bfloat16";

const unhex = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, "hex"));

function numbersOf({ type, data }: Tensor): (number | bigint | string)[] {
  const elements = Array.from(data as ArrayLike<number | bigint | string>);
  return type === "float16" ? elements.map((bits) => fromHalf(Number(bits))) : elements;
}

function meant(type: string, value: number | string | boolean): number | bigint | string {
  if (type === "string") return String(value);
  return type.endsWith("int64") ? BigInt(value) : Number(value);
}

describe.skipIf(!hasVectors)("a tensor file", () => {
  it.each(vectors.valid.filter(known))("is read and written: $name", (vector) => {
    const type = vector.element_type as ElementType;
    const read = decodeTensor(type, vector.shape, unhex(vector.hex));
    expect(read.shape).toEqual(vector.shape);
    expect(numbersOf(read)).toEqual(vector.values.map((value) => meant(type, value)));
    expect(Buffer.from(encodeTensor(read)).toString("hex")).toBe(vector.hex);
  });

  it.each(vectors.invalid.filter(known))("is refused: $name", (vector) => {
    const bytes = unhex(vector.hex);
    const read = (): Tensor => decodeTensor(vector.element_type as ElementType, vector.shape, bytes);
    expect(read).toThrow(SdkError);
  });

  it("has vectors of every type", () => {
    const types = new Set(vectors.valid.map((vector) => vector.element_type));
    expect(elementTypes.filter((type) => !types.has(type))).toEqual([]);
    expect(vectors.invalid.length).toBeGreaterThan(5);
  });
});
