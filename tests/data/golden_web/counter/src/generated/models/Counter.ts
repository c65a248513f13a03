// Made by ortlab. DO NOT EDIT: `ortlab generate` writes this file anew.
import { ModelSession, outputOf, zeros } from "../../sdk/index";
import type {
  ModelDescriptor,
  SessionOptions,
  SessionReport,
  Tensor,
} from "../../sdk/index";

const descriptor: ModelDescriptor = {
  name: "counter",
  inputs: [{ name: "x", identifier: "x", elementType: "float", shape: ["batch", 4] }],
  outputs: [{ name: "y", identifier: "y", elementType: "float", shape: [] }],
  states: [
    {
      inputName: "memory",
      outputName: "next",
      elementType: "float",
      shape: [2, 4],
      dimensions: [["batch", 2]],
    },
  ],
  variants: [
    {
      id: "fixed-arm",
      style: "fixed",
      target: "arm",
      precision: "fp32",
      url: new URL("../assets/ortlab/counter/fixed-arm.ort", import.meta.url).href,
      sha256: "3071bb2eadf5372cda6b47746c0daae203613e3a6158ba8a1c5295435f94dc1c",
      sizeBytes: 2672,
    },
  ],
  sample: [],
};

/** What the model `counter` takes. */
export interface CounterInput {
  /** Input `x`, `float[batch, 4]`. */
  readonly x: Tensor<"float">;
}

/** What the model `counter` gives. */
export interface CounterOutput {
  /** Output `y`, `float scalar`. */
  readonly y: Tensor<"float">;
}

/**
 * The model `counter`.
 *
 * Create it once, run it often. It serves one run at a time; a second at the same moment is refused.
 *
 * What it hands from one run to the next stays in here, starting with zeros: see `reset()`.
 */
export class Counter {
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
  static async create(options: SessionOptions = {}): Promise<Counter> {
    return new Counter(await ModelSession.create(descriptor, options));
  }

  /** What is loaded by what, and how long that took. */
  get report(): SessionReport {
    return this.#session.report;
  }

  /** Whether `close()` was called. */
  get isClosed(): boolean {
    return this.#session.isClosed;
  }

  /** Makes tensors of zeros to write into. */
  static allocate(): CounterInput {
    return { x: zeros("float", [2, 4]) };
  }

  /**
   * Runs the model once.
   *
   * @throws An `SdkError`: a tensor does not fit or another run is under way, and then the runtime
   *   has seen nothing; or the runtime failed.
   */
  async run(input: CounterInput): Promise<CounterOutput> {
    const outputs = await this.#session.run([input.x]);
    return { y: outputOf(outputs, 0, "float") };
  }

  /** Forgets earlier runs: what the model hands on is zeros again. */
  reset(): void {
    this.#session.reset();
  }

  /** Lets go of the model; a second call does nothing. A run under way ends first. */
  async close(): Promise<void> {
    await this.#session.close();
  }
}
