import type { Classification } from "./kinds/classification";
import type { ImageFormat } from "./kinds/image";
import type { ElementType } from "./tensors";

/** A size; the name of one that the caller chooses; null where it has not even a name. */
export type Dimension = number | string | null;

/** An input or output of a model. */
export interface TensorDescriptor {
  /** As the model has it; may hold any characters. */
  readonly name: string;
  /** Name of the property in the generated class. */
  readonly identifier: string;
  readonly elementType: ElementType;
  /** Null when the model does not even declare how many dimensions there are. */
  readonly shape: readonly Dimension[] | null;
  /** What its numbers mean to people. */
  readonly kind?: ImageFormat | Classification;
  /** False where outputs are known to have other shapes than is declared. */
  readonly isShapeReliable?: boolean;
}

/** A value that the session itself carries from one run to the next, starting with zeros. */
export interface StateDescriptor {
  /** The model's input that takes it; no caller gives it. */
  readonly inputName: string;
  /** The model's output that gives the next one; no caller gets it. */
  readonly outputName: string;
  readonly elementType: ElementType;
  readonly shape: readonly number[];
  /** Named dimensions of them, with the sizes they are thereby fixed to. */
  readonly dimensions: readonly (readonly [name: string, size: number])[];
}

/**
 * How a packaged file was optimized: not at all (`onnx`: the runtime does it at each load), fully
 * (`fixed`), or as far as every provider bears, the rest when it is loaded (`runtime`).
 */
export type ModelStyle = "onnx" | "fixed" | "runtime";

/** A packaged file of a model. */
export interface ModelVariant {
  /** Unique in the model, such as `fixed-arm`. */
  readonly id: string;
  readonly style: ModelStyle;
  /** Family of CPUs it was optimized for; null fits all. */
  readonly target: string | null;
  /** Of weights and arithmetic, such as `fp32`. */
  readonly precision: string;
  readonly url: string;
  /** Of the file, in hexadecimal. */
  readonly sha256: string;
  readonly sizeBytes: number;
}

/** A packaged input, in raw little-endian form. */
export interface SampleTensor {
  readonly name: string;
  readonly elementType: ElementType;
  readonly shape: readonly number[];
  readonly url: string;
}

/** A model as the app carries it. */
export interface ModelDescriptor {
  /** Unique in the app. */
  readonly name: string;
  /** In the model's order, without states. */
  readonly inputs: readonly TensorDescriptor[];
  /** In the model's order, without states. */
  readonly outputs: readonly TensorDescriptor[];
  readonly states: readonly StateDescriptor[];
  /** Packaged files, the recommended one first. */
  readonly variants: readonly ModelVariant[];
  /** Packaged inputs to try the model with; empty when there are none. */
  readonly sample: readonly SampleTensor[];
}

/** Returns type and shape in words, such as `float[batch, 3, 224, 224]`. */
export function described(tensor: TensorDescriptor): string {
  const sizes = tensor.shape?.map((size) => size ?? "?").join(", ") ?? "any shape";
  return `${tensor.elementType}[${sizes}]`;
}
