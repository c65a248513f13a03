import { messageOf, SdkError } from "./errors";
import { smallestModel } from "./smallest_model";

/** The API of onnxruntime-web. */
export type Ort = typeof import("onnxruntime-web");

/** Execution providers by their names in onnxruntime-web. */
export type ProviderName = "wasm" | "webgpu" | "webnn";

/** The one build of ONNX Runtime that an app ships. */
export interface Runtime {
  readonly ort: Ort;
  /** Where its WebAssembly is. */
  readonly wasmUrl: string;
  /** What the build was chosen for, in order of preference. */
  readonly providers: readonly ProviderName[];
}

/** A runtime that is ready to load models. */
export interface StartedRuntime extends Runtime {
  /** Threads that were asked for; null left it to the runtime. */
  readonly threadsAsked: number | null;
  /** When its start began, by `performance.now`. */
  readonly startedMs: number;
  /** How long it took to fetch and compile the WebAssembly and to start the threads. */
  readonly startMs: number;
}

let started: Promise<StartedRuntime> | undefined;

/**
 * Fetches and starts the runtime, once in a page.
 *
 * @param threads Of the WebAssembly; null leaves it to the runtime.
 * @throws SdkError `runtime-not-found`: it cannot be fetched or started; the page has to be loaded
 *   anew, as onnxruntime-web tries only once.
 *   `invalid-options`: it was started with another number of threads.
 */
export async function startRuntime(threads: number | null = null): Promise<StartedRuntime> {
  const runtime = await (started ??= startOnce(threads));
  if (threads !== null && threads !== runtime.threadsAsked) {
    const before = runtime.threadsAsked ?? "its own choice of";
    const message = `The runtime was started with ${before} threads; this page cannot change that`;
    throw new SdkError("invalid-options", message);
  }
  return runtime;
}

/** Fetches the runtime's API alone, which is small; nothing can be run yet. */
export async function loadRuntime(): Promise<Runtime> {
  const { runtime } = await import("../generated/runtime");
  return runtime;
}

async function startOnce(threads: number | null): Promise<StartedRuntime> {
  const startedMs = performance.now();
  try {
    const runtime = await loadRuntime();
    const { env, InferenceSession } = runtime.ort;
    env.logLevel = "error";
    env.wasm.wasmPaths = { wasm: runtime.wasmUrl };
    if (threads !== null) env.wasm.numThreads = threads;
    // The runtime has no call that starts it, so the smallest model that there is does.
    const session = await InferenceSession.create(smallestModel(), { executionProviders: ["wasm"] });
    await session.release();
    return { ...runtime, threadsAsked: threads, startedMs, startMs: performance.now() - startedMs };
  } catch (error) {
    const message = `Cannot start ONNX Runtime: ${messageOf(error)}`;
    throw new SdkError("runtime-not-found", message, { cause: error });
  }
}

/** Returns those of the build's providers that this browser has. */
export async function availableProviders(runtime: Runtime): Promise<ProviderName[]> {
  const absent = await absentProviders(runtime);
  const found = runtime.providers.filter((name) => !absent.has(name));
  return found.includes("wasm") ? found : [...found, "wasm"];
}

/** Returns the providers that are not there, with the reason of each. */
export async function absentProviders(runtime: Runtime): Promise<Map<ProviderName, string>> {
  const absent = new Map<ProviderName, string>();
  for (const name of ["webgpu", "webnn"] as const) {
    const reason = runtime.providers.includes(name)
      ? await reasonOfAbsence(name)
      : "this app does not ship it";
    if (reason !== null) absent.set(name, reason);
  }
  return absent;
}

async function reasonOfAbsence(name: "webgpu" | "webnn"): Promise<string | null> {
  if (name === "webnn") return "ml" in navigator ? null : "this browser has no navigator.ml";
  if (!("gpu" in navigator)) return "this browser has no navigator.gpu";
  return (await gpuAdapter()) === null ? "requestAdapter() gave none" : null;
}

/** The part of WebGPU that is asked here; TypeScript's own library lacks it. */
export interface GpuAdapter {
  readonly info?: {
    readonly vendor: string;
    readonly architecture: string;
    readonly device: string;
    readonly description: string;
    readonly isFallbackAdapter?: boolean;
  };
  readonly isFallbackAdapter?: boolean;
}

/** Returns WebGPU's adapter; null where the browser or the machine has none. */
export async function gpuAdapter(): Promise<GpuAdapter | null> {
  try {
    const { gpu } = navigator as { gpu?: { requestAdapter(): Promise<GpuAdapter | null> } };
    return (await gpu?.requestAdapter()) ?? null;
  } catch {
    return null;
  }
}
