import { SdkError } from "./errors";

/** The array that holds the elements of each type, by ONNX's word for it. */
export interface TensorData {
  float: Float32Array;
  double: Float64Array;
  /** Bits of IEEE 754 half precision; see `toHalf` and `fromHalf`. */
  float16: Uint16Array;
  int8: Int8Array;
  int16: Int16Array;
  int32: Int32Array;
  int64: BigInt64Array;
  uint8: Uint8Array;
  uint16: Uint16Array;
  uint32: Uint32Array;
  uint64: BigUint64Array;
  /** 0 or 1. */
  bool: Uint8Array;
  string: string[];
}

/** ONNX's word for the type of a tensor's elements. */
export type ElementType = keyof TensorData;

/** Elements in C order: the last dimension runs fastest. */
export interface Tensor<T extends ElementType = ElementType> {
  readonly type: T;
  /** Sizes; `[]` is a scalar. */
  readonly shape: readonly number[];
  readonly data: TensorData[T];
}

type ArrayConstructors = {
  readonly [T in Exclude<ElementType, "string">]: {
    new (length: number): TensorData[T];
    readonly BYTES_PER_ELEMENT: number;
  };
};

/** Constructors of the arrays; strings have none. */
export const arrays: ArrayConstructors = {
  float: Float32Array,
  double: Float64Array,
  float16: Uint16Array,
  int8: Int8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
};

/** All element types. */
export const elementTypes: readonly ElementType[] = [
  ...(Object.keys(arrays) as ElementType[]),
  "string",
];

/**
 * Returns the number of elements of a shape.
 *
 * @throws SdkError `shape-mismatch`: a size is not a whole number of 0 or more.
 */
export function elementCount(shape: readonly number[]): number {
  let count = 1;
  for (const size of shape) {
    if (!Number.isSafeInteger(size) || size < 0) {
      throw new SdkError("shape-mismatch", `A tensor cannot have the shape [${shape.join(", ")}]`);
    }
    count *= size;
  }
  if (!Number.isSafeInteger(count)) {
    throw new SdkError("shape-mismatch", `The shape [${shape.join(", ")}] is too large`);
  }
  return count;
}

/**
 * Makes a tensor of zeros, false or empty texts.
 *
 * @throws SdkError `shape-mismatch`: there is no such shape, or no memory for it.
 */
export function zeros<T extends ElementType>(type: T, shape: readonly number[]): Tensor<T> {
  const count = elementCount(shape);
  try {
    return { type, shape: [...shape], data: makeData(type, count) };
  } catch (error) {
    const message = `There is no memory for ${type}[${shape.join(", ")}]`;
    throw new SdkError("shape-mismatch", message, { cause: error });
  }
}

/**
 * Makes a tensor of elements that exist; they are not copied.
 *
 * @throws SdkError `shape-mismatch` or `type-mismatch`: the elements do not fill the shape, or
 *   are in another kind of array.
 */
export function tensor<T extends ElementType>(
  type: T,
  shape: readonly number[],
  data: TensorData[T],
): Tensor<T> {
  const made = { type, shape: [...shape], data };
  checkData(made, "the tensor");
  return made;
}

/**
 * Checks that a tensor holds what it says.
 *
 * @param what Names the tensor in the message.
 * @throws SdkError `shape-mismatch`, `type-mismatch` or `invalid-elements`.
 */
export function checkData(given: Tensor, what: string): void {
  const { type, shape, data } = given;
  const holds = type === "string" ? Array.isArray(data) : data instanceof arrays[type];
  if (!holds) {
    const wanted = type === "string" ? "an array of texts" : `a ${arrays[type].name}`;
    throw new SdkError("type-mismatch", `Elements of type ${type} of ${what} come in ${wanted}`);
  }
  const count = elementCount(shape);
  if (data.length !== count) {
    const message = `[${shape.join(", ")}] has ${count} elements, ${what} holds ${data.length}`;
    throw new SdkError("shape-mismatch", message);
  }
  if (type === "bool" && (data as Uint8Array).some((element) => element > 1)) {
    throw new SdkError("invalid-elements", `A bool of ${what} is neither 0 nor 1`);
  }
  if (type === "string" && (data as unknown[]).some((element) => typeof element !== "string")) {
    throw new SdkError("invalid-elements", `An element of ${what} is no text`);
  }
}

/**
 * Returns one of a run's outputs as what the model declares it to be.
 *
 * @throws SdkError `run-failed`: the runtime gave something else.
 */
export function outputOf<T extends ElementType>(
  outputs: readonly Tensor[],
  index: number,
  type: T,
): Tensor<T> {
  const output = outputs[index];
  if (output?.type !== type) {
    const found = output?.type ?? "nothing";
    throw new SdkError("run-failed", `Output ${index} is ${found} instead of ${type}`);
  }
  return output as Tensor<T>;
}

function makeData<T extends ElementType>(type: T, count: number): TensorData[T];
function makeData(type: ElementType, count: number): TensorData[ElementType] {
  return type === "string" ? new Array<string>(count).fill("") : new arrays[type](count);
}
