import type { InferenceSession, OnnxValue } from "onnxruntime-web";

import { checkInputs } from "./checks";
import type { ModelDescriptor, ModelVariant } from "./descriptors";
import { messageOf, SdkError } from "./errors";
import { CarriedStates } from "./kinds/state";
import { checkOptions, chooseProviders, chooseVariant, runtimeOptions } from "./options";
import type { ProviderReport, SessionOptions } from "./options";
import { fromOrt, ortTypes, toOrt } from "./ort_tensors";
import { absentProviders, startRuntime } from "./runtime";
import type { StartedRuntime } from "./runtime";
import type { Tensor } from "./tensors";

type Feeds = Readonly<Record<string, OnnxValue>>;

/** What is loaded by what, and how long that took. */
export interface SessionReport {
  readonly variant: ModelVariant;
  readonly providers: ProviderReport;
  /** Of the WebAssembly. */
  readonly threads: number;
  /** Of onnxruntime-web. */
  readonly runtimeVersion: string;
  /** Until the model's file was there, in milliseconds. */
  readonly fetchMs: number;
  /** Until the runtime was fetched, compiled and started; 0 where it already was. */
  readonly startMs: number;
  /** Of the session's creation alone, in milliseconds. */
  readonly createMs: number;
}

/**
 * A loaded model. Generated classes wrap it; by itself it takes and gives tensors in the order of
 * its descriptor.
 *
 * It serves one run at a time: a second at the same moment is refused.
 */
export class ModelSession {
  readonly descriptor: ModelDescriptor;
  readonly report: SessionReport;

  readonly #runtime: StartedRuntime;
  readonly #states: CarriedStates;
  #session: InferenceSession | null;
  #running: Promise<unknown> | null = null;

  private constructor(
    descriptor: ModelDescriptor,
    runtime: StartedRuntime,
    session: InferenceSession,
    report: SessionReport,
  ) {
    this.descriptor = descriptor;
    this.report = report;
    this.#runtime = runtime;
    this.#session = session;
    this.#states = new CarriedStates(descriptor.states);
  }

  /**
   * Fetches a model and loads it.
   *
   * @throws SdkError `invalid-options`; `model-not-found`: the file cannot be fetched;
   *   `model-load-failed`: the runtime does not take it, or it is another model;
   *   `runtime-not-found`: the runtime itself cannot be fetched; `provider-unavailable`: a provider
   *   that is asked for is not there.
   */
  static async create(
    descriptor: ModelDescriptor,
    options: SessionOptions = {},
  ): Promise<ModelSession> {
    checkOptions(options);
    const variant = chooseVariant(descriptor, options.style);
    const startedMs = performance.now();
    const [model, runtime] = await Promise.all([
      fetchModel(variant, options.signal),
      startRuntime(options.threads ?? null),
    ]);
    const absent = await absentProviders(runtime);
    const { providers, report } = chooseProviders(options, runtime.providers, absent);
    const createdMs = performance.now();
    const session = await createSession(
      descriptor,
      runtime,
      model.bytes,
      runtimeOptions(options, variant, providers),
    );
    return new ModelSession(descriptor, runtime, session, {
      variant,
      providers: report,
      threads: runtime.ort.env.wasm.numThreads ?? 1,
      runtimeVersion: runtime.ort.env.versions.web ?? "",
      fetchMs: model.fetchMs,
      startMs: runtime.startedMs < startedMs ? 0 : runtime.startMs,
      createMs: performance.now() - createdMs,
    });
  }

  /** Whether `close()` was called. */
  get isClosed(): boolean {
    return this.#session === null;
  }

  /**
   * Runs the model once.
   *
   * @param tensors One for each input, in the descriptor's order; they are only read.
   * @returns One for each output, in the descriptor's order; new with every run.
   * @throws SdkError `closed`, `busy`, `invalid-inputs`, `type-mismatch`, `shape-mismatch` or
   *   `invalid-elements`, and the runtime has seen nothing; or `run-failed`.
   */
  async run(tensors: readonly Tensor[]): Promise<readonly Tensor[]> {
    const session = this.#idleSession();
    checkInputs(this.descriptor, tensors);
    const running = this.#runOnce(session, this.#feeds(tensors));
    this.#running = running;
    try {
      return await running;
    } finally {
      this.#running = null;
    }
  }

  /**
   * Forgets earlier runs: states are zeros again.
   *
   * @throws SdkError `closed` or `busy`.
   */
  reset(): void {
    this.#idleSession();
    this.#states.reset();
  }

  /** Lets go of the model; a second call does nothing. A run under way ends first. */
  async close(): Promise<void> {
    const session = this.#session;
    this.#session = null;
    await this.#running?.catch(() => undefined);
    await session?.release();
  }

  #idleSession(): InferenceSession {
    const { name } = this.descriptor;
    if (this.#session === null) throw new SdkError("closed", `The model ${name} is closed`);
    if (this.#running !== null) {
      const message = `The model ${name} is being run; it serves one run at a time`;
      throw new SdkError("busy", message);
    }
    return this.#session;
  }

  #feeds(given: readonly Tensor[]): Feeds {
    const feeds: Record<string, OnnxValue> = {};
    const names = [...this.descriptor.inputs.map(({ name }) => name), ...this.#states.inputNames];
    [...given, ...this.#states.tensors].forEach((tensor, index) => {
      feeds[names[index] ?? ""] = toOrt(this.#runtime.ort, tensor);
    });
    return feeds;
  }

  async #runOnce(session: InferenceSession, feeds: Feeds): Promise<readonly Tensor[]> {
    const { name, outputs } = this.descriptor;
    let results: InferenceSession.ReturnType;
    try {
      results = await session.run(feeds);
    } catch (error) {
      const message = `The model ${name} failed: ${messageOf(error)}`;
      throw new SdkError("run-failed", message, { cause: error });
    }
    const result = async (output: string): Promise<Tensor> => {
      const value = results[output];
      if (value === undefined) throw new SdkError("run-failed", `There is no output '${output}'`);
      return fromOrt(value);
    };
    const taken = await Promise.all(outputs.map((output) => result(output.name)));
    this.#states.replace(await Promise.all(this.#states.outputNames.map(result)));
    return taken;
  }
}

async function fetchModel(
  variant: ModelVariant,
  signal: AbortSignal | undefined,
): Promise<{ bytes: Uint8Array; fetchMs: number }> {
  const started = performance.now();
  const bytes = await fetchBytes(variant.url, "the model", signal);
  if (bytes.length !== variant.sizeBytes) {
    const message =
      `The model file ${variant.url} has ${bytes.length} bytes instead of ${variant.sizeBytes}:` +
      " it is not the one this code was generated for";
    throw new SdkError("model-load-failed", message);
  }
  return { bytes, fetchMs: performance.now() - started };
}

/**
 * Fetches a file that the app carries.
 *
 * @throws SdkError `model-not-found`.
 */
export async function fetchBytes(
  url: string,
  what: string,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  try {
    const response = await fetch(url, signal ? { signal } : {});
    if (!response.ok) throw new Error(`the server answers ${response.status}`);
    return new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    const message = `Cannot fetch ${what} from ${url}: ${messageOf(error)}`;
    throw new SdkError("model-not-found", message, { cause: error });
  }
}

async function createSession(
  descriptor: ModelDescriptor,
  runtime: StartedRuntime,
  bytes: Uint8Array,
  options: InferenceSession.SessionOptions,
): Promise<InferenceSession> {
  let session: InferenceSession;
  try {
    session = await runtime.ort.InferenceSession.create(bytes, options);
  } catch (error) {
    const message = `Cannot load the model ${descriptor.name}: ${messageOf(error)}`;
    throw new SdkError("model-load-failed", message, { cause: error });
  }
  try {
    checkSignature(descriptor, session);
  } catch (error) {
    await session.release();
    throw error;
  }
  return session;
}

/** Refuses a file with another signature than the generated code. */
function checkSignature(descriptor: ModelDescriptor, session: InferenceSession): void {
  const { states } = descriptor;
  const inputs = [
    ...descriptor.inputs.map((input) => `${ortTypes[input.elementType]} ${input.name}`),
    ...states.map((state) => `${ortTypes[state.elementType]} ${state.inputName}`),
  ];
  const outputs = [
    ...descriptor.outputs.map((output) => `${ortTypes[output.elementType]} ${output.name}`),
    ...states.map((state) => `${ortTypes[state.elementType]} ${state.outputName}`),
  ];
  compare(descriptor, "inputs", inputs, session.inputMetadata);
  compare(descriptor, "outputs", outputs, session.outputMetadata);
}

function compare(
  descriptor: ModelDescriptor,
  side: string,
  wanted: string[],
  metadata: readonly InferenceSession.ValueMetadata[],
): void {
  const found = metadata.map((value) => `${value.isTensor ? value.type : "no tensor"} ${value.name}`);
  if ([...wanted].sort().join("\n") !== [...found].sort().join("\n")) {
    const message =
      `The model ${descriptor.name} has the ${side} [${found.join(", ")}] instead of` +
      ` [${wanted.join(", ")}]: it is not the one this code was generated for`;
    throw new SdkError("model-load-failed", message);
  }
}
