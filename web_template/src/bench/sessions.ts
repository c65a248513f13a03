import type { InferenceSession, OnnxValue } from "onnxruntime-web";

import { messageOf } from "../sdk/errors";
import { elementTypeOf, fromOrt, toOrt } from "../sdk/ort_tensors";
import type { Ort, ProviderName } from "../sdk/runtime";
import { decodeTensor, encodeTensor } from "../sdk/tensor_files";
import type { Driver } from "./driver";
import { Refused } from "./failures";
import type { BlockRequest, FailureKind, ModelRequest, ProviderRequest, TensorFile } from "./protocol";
import { runtimeNames } from "./runtime_facts";

/** Names of onnxruntime-web, by the runtime's own. */
const pageNames = new Map(
  Object.entries(runtimeNames).map(([page, runtime]) => [runtime, page as ProviderName]),
);
const directBytes = "session.use_ort_model_bytes_directly";
const weightsInBytes = "session.use_ort_model_bytes_for_initializers";

/** Refuses providers that the browser lacks: the runtime itself would go on without them. */
export function checkAvailable(
  providers: readonly ProviderRequest[],
  available: readonly string[],
): void {
  for (const { name } of providers) {
    if (available.includes(name)) continue;
    const message = `this page has no ${name}; it has ${available.join(", ")}`;
    throw new Refused("provider_unavailable", message, "create_session");
  }
  const others = providers.filter(({ name }) => name !== runtimeNames.wasm);
  if (others.length > 1) {
    const message = "onnxruntime-web drops one of several providers in silence: ask for one";
    throw new Refused("unsupported", message, "create_session");
  }
}

/** Reads the inputs into memory, as what a run takes. */
export async function readInputs(
  ort: Ort,
  inputs: readonly TensorFile[],
  driver: Driver,
): Promise<Record<string, OnnxValue>> {
  const feeds: Record<string, OnnxValue> = {};
  for (const { name, element_type: type, shape, path, sha256 } of inputs) {
    const bytes = await driver.read(path);
    if (bytes === null) throw new Refused("input_missing", `${name}: ${path} cannot be read`);
    if (sha256 !== null && (await sha256Of(bytes)) !== sha256) {
      throw new Refused("invalid_input", `${name}: it was changed since the request was made`);
    }
    if (name === "__proto__") {
      throw new Refused("unsupported", `${name}: JavaScript keeps this name for itself`);
    }
    if (type === "bfloat16") {
      throw new Refused("unsupported", `${name}: onnxruntime-web has no tensors of bfloat16`);
    }
    const tensor = refusing("invalid_input", name, () => decodeTensor(type, shape, bytes));
    feeds[name] = refusing("unsupported", name, () => toOrt(ort, tensor));
  }
  return feeds;
}

function refusing<T>(kind: FailureKind, name: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new Refused(kind, `${name}: ${messageOf(error)}`);
  }
}

/** Fetches the model and checks that it is the one that is meant. */
export async function readModel(
  model: ModelRequest,
  driver: Driver,
): Promise<{ bytes: Uint8Array; durationMs: number }> {
  if (model.load_mode === "initializers-from-bytes") {
    const message = "onnxruntime-web frees the model's bytes: weights cannot stay in them";
    throw new Refused("unsupported", message);
  }
  const started = performance.now();
  const bytes = await driver.read(model.path);
  const durationMs = performance.now() - started;
  if (bytes === null) throw new Refused("model_missing", `${model.path} cannot be read`);
  if ((await sha256Of(bytes)) !== model.sha256) {
    throw new Refused("model_changed", `${model.path} was changed since the request was made`);
  }
  if (model.load_mode === "direct-bytes" && !isOrtFormat(bytes)) {
    const message = "only a model in ORT format can be used from its bytes";
    throw new Refused("unsupported", message);
  }
  return { bytes, durationMs };
}

/** Returns session options as the request wants them; what it leaves open stays the runtime's. */
export function sessionOptions(request: BlockRequest): InferenceSession.SessionOptions {
  const { session, model } = request;
  if (model.custom_op_library !== null) {
    const message = "onnxruntime-web loads no libraries of operators";
    throw new Refused("custom_ops_failed", message);
  }
  if (session.inter_op_num_threads !== null) {
    throw new Refused("unsupported", "onnxruntime-web has no inter_op_num_threads");
  }
  const extra: Record<string, string> = { ...session.config_entries };
  if (extra[weightsInBytes] === "1") {
    const message = `with ${weightsInBytes} set, the runtime would use freed memory`;
    throw new Refused("unsupported", message);
  }
  if (model.load_mode !== "path") extra[directBytes] = model.load_mode === "bytes" ? "0" : "1";
  const options: InferenceSession.SessionOptions = {
    executionProviders: providersOf(request.providers),
    graphOptimizationLevel: session.graph_optimization_level,
    executionMode: session.execution_mode,
    enableProfiling: request.purpose === "profile",
    logSeverityLevel: 3,
    extra: nested(extra),
  };
  const arena = arenaOf(request.providers) ?? session.cpu_memory_arena;
  if (arena !== null) options.enableCpuMemArena = arena;
  if (session.memory_pattern !== null) options.enableMemPattern = session.memory_pattern;
  return options;
}

/**
 * The runtime fills in `session.use_ort_model_bytes_directly` below `session` where it is not
 * there, so that entries of that family have to stand there too.
 */
function nested(entries: Readonly<Record<string, string>>): Record<string, unknown> {
  const session: Record<string, string> = {};
  const others: Record<string, string> = {};
  for (const [key, value] of Object.entries(entries)) {
    if (key.startsWith("session.")) session[key.slice("session.".length)] = value;
    else others[key] = value;
  }
  return { ...others, session };
}

/** WebAssembly takes what is left; named beside another it would take all if that one failed. */
function providersOf(
  providers: readonly ProviderRequest[],
): InferenceSession.ExecutionProviderConfig[] {
  const asked = providers.map(({ name, options }) => ({
    ...options,
    name: pageNames.get(name) ?? name,
  }));
  const others = asked.filter(({ name }) => name !== "wasm");
  return others.length > 0 ? others : [{ name: "wasm" }];
}

function arenaOf(providers: readonly ProviderRequest[]): boolean | null {
  let arena: boolean | null = null;
  for (const { name, options } of providers) {
    if (name !== runtimeNames.wasm) continue;
    for (const [key, value] of Object.entries(options)) {
      if (key !== "use_arena" || (value !== "0" && value !== "1")) {
        const message = `the only option of ${name} is use_arena, 0 or 1; it has no ${key}=${value}`;
        throw new Refused("provider_failed", message);
      }
      arena = value === "1";
    }
  }
  return arena;
}

/** Refuses a model whose outputs no tensor file can hold. */
export function checkOutputs(session: InferenceSession): void {
  for (const output of session.outputMetadata) {
    if (output.isTensor && elementTypeOf(output.type) !== undefined) continue;
    const type = output.isTensor ? output.type : "no tensor";
    const message = `output '${output.name}' of type ${type} cannot be kept in a tensor file`;
    throw new Refused("unsupported", message, "read_output");
  }
}

/** Hands the outputs of a run over, under names of our own. */
export async function writeOutputs(
  names: readonly string[],
  outputs: InferenceSession.ReturnType,
  driver: Driver,
): Promise<TensorFile[]> {
  const written: TensorFile[] = [];
  for (const [index, name] of names.entries()) {
    const output = outputs[name];
    if (output === undefined) throw new Refused("unsupported", `output '${name}' has no value`);
    const tensor = await fromOrt(output);
    const bytes = encodeTensor(tensor);
    const path = `output-${index}.bin`;
    await driver.write(path, bytes);
    const sha256 = await sha256Of(bytes);
    written.push({ name, element_type: tensor.type, shape: [...tensor.shape], path, sha256 });
  }
  return written;
}

function isOrtFormat(bytes: Uint8Array): boolean {
  return new TextDecoder().decode(bytes.subarray(4, 8)) === "ORTM";
}

async function sha256Of(bytes: Uint8Array): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>);
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
