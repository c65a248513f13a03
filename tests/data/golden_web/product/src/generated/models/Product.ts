// Made by ortlab. DO NOT EDIT: `ortlab generate` writes this file anew.
import { ModelSession, outputOf, zeros } from "../../sdk/index";
import type {
  ModelDescriptor,
  SessionOptions,
  SessionReport,
  Tensor,
} from "../../sdk/index";

const descriptor: ModelDescriptor = {
  name: "product",
  inputs: [
    { name: "left", identifier: "left", elementType: "float", shape: ["rows", "inner"] },
    { name: "right", identifier: "right", elementType: "float", shape: ["inner", 4] },
    { name: "bias", identifier: "bias", elementType: "float", shape: [4] },
  ],
  outputs: [
    { name: "sum", identifier: "sum", elementType: "float", shape: ["rows", 4] },
    { name: "total", identifier: "total", elementType: "float", shape: [] },
  ],
  states: [],
  variants: [
    {
      id: "runtime-arm",
      style: "runtime",
      target: "arm",
      precision: "fp32",
      url: new URL("../assets/ortlab/product/runtime-arm.ort", import.meta.url).href,
      sha256: "f55595a889979bc5a4ef59713ceb57b30ce0f39aac46b124523dbf5ee312d9c2",
      sizeBytes: 2296,
    },
  ],
  sample: [
    {
      name: "left",
      elementType: "float",
      shape: [1, 16],
      url: new URL("../assets/ortlab/product/sample/input-0.bin", import.meta.url).href,
    },
    {
      name: "right",
      elementType: "float",
      shape: [16, 4],
      url: new URL("../assets/ortlab/product/sample/input-1.bin", import.meta.url).href,
    },
    {
      name: "bias",
      elementType: "float",
      shape: [4],
      url: new URL("../assets/ortlab/product/sample/input-2.bin", import.meta.url).href,
    },
  ],
};

/** What the model `product` takes. */
export interface ProductInput {
  /** Input `left`, `float[rows, inner]`. */
  readonly left: Tensor<"float">;
  /** Input `right`, `float[inner, 4]`. */
  readonly right: Tensor<"float">;
  /** Input `bias`, `float[4]`. */
  readonly bias: Tensor<"float">;
}

/** What the model `product` gives. */
export interface ProductOutput {
  /** Output `sum`, `float[rows, 4]`. */
  readonly sum: Tensor<"float">;
  /** Output `total`, `float scalar`. */
  readonly total: Tensor<"float">;
}

/**
 * The model `product`.
 *
 * Create it once, run it often. It serves one run at a time; a second at the same moment is refused.
 */
export class Product {
  /** The model for code that knows no generated class. */
  static readonly descriptor: ModelDescriptor = descriptor;

  readonly #session: ModelSession;

  private constructor(session: ModelSession) {
    this.#session = session;
  }

  /**
   * Fetches the model and loads it.
   *
   * @param options Which file, providers and threads.
   * @throws An `SdkError`: the file cannot be fetched, the runtime does not take it, a provider
   *   that is asked for is not there, or the options mean nothing here.
   */
  static async create(options: SessionOptions = {}): Promise<Product> {
    return new Product(await ModelSession.create(descriptor, options));
  }

  /** What is loaded by what, and how long that took. */
  get report(): SessionReport {
    return this.#session.report;
  }

  /** Whether `close()` was called. */
  get isClosed(): boolean {
    return this.#session.isClosed;
  }

  /**
   * Makes tensors of zeros to write into.
   *
   * @param sizes.rows Size of `rows`.
   * @param sizes.inner Size of `inner`.
   */
  static allocate(sizes: {
    readonly rows: number;
    readonly inner: number;
  }): ProductInput {
    return {
      left: zeros("float", [sizes.rows, sizes.inner]),
      right: zeros("float", [sizes.inner, 4]),
      bias: zeros("float", [4]),
    };
  }

  /**
   * Runs the model once.
   *
   * @throws An `SdkError`: a tensor does not fit or another run is under way, and then the runtime
   *   has seen nothing; or the runtime failed.
   */
  async run(input: ProductInput): Promise<ProductOutput> {
    const outputs = await this.#session.run([input.left, input.right, input.bias]);
    return {
      sum: outputOf(outputs, 0, "float"),
      total: outputOf(outputs, 1, "float"),
    };
  }

  /** Lets go of the model; a second call does nothing. A run under way ends first. */
  async close(): Promise<void> {
    await this.#session.close();
  }
}
