import type { InferenceSession } from "onnxruntime-web";

import type { ModelDescriptor, ModelStyle, ModelVariant } from "./descriptors";
import { SdkError } from "./errors";
import type { ProviderName } from "./runtime";

/** An execution provider, by its name or with options of onnxruntime-web. */
export type Provider = ProviderName | ProviderWithOptions;

/** An execution provider with options of onnxruntime-web. */
export interface ProviderWithOptions {
  readonly name: ProviderName;
  readonly [option: string]: unknown;
}

/** How a model is opened. */
export interface SessionOptions {
  /** Which of the packaged files; without it the one that the app recommends. */
  readonly style?: ModelStyle;
  /**
   * In the order they may take operators; each must be there. Without it those that the app was
   * made for, as far as the browser has them. WebAssembly takes what is left.
   */
  readonly providers?: readonly Provider[];
  /** Whether providers that the browser lacks are left out, and named in the report. */
  readonly allowsMissingProviders?: boolean;
  /**
   * Of the WebAssembly, the same for all models of a page; without it the runtime chooses. More
   * than one needs a page that is cross-origin isolated.
   */
  readonly threads?: number;
  /**
   * Whether optimizations that are saved in a file of style `runtime` are replayed; without it
   * they are.
   */
  readonly replaysOptimizations?: boolean;
  /** Further entries of the runtime's session configuration. */
  readonly configEntries?: Readonly<Record<string, string>>;
  /** Ends the fetching of the model. */
  readonly signal?: AbortSignal;
}

/** Entry that lets the runtime apply what is saved in a file of style `runtime`. */
const replay = "session.enable_saved_runtime_optimizations";
/** The runtime frees the model's bytes once a session is there: weights may not stay in them. */
const weightsInBytes = "session.use_ort_model_bytes_for_initializers";

/**
 * Refuses options that mean nothing.
 *
 * @throws SdkError `invalid-options`.
 */
export function checkOptions(options: SessionOptions): void {
  const { threads, providers = [], configEntries = {} } = options;
  if (threads !== undefined && (!Number.isInteger(threads) || threads < 1)) {
    throw new SdkError("invalid-options", `threads must be 1 or more, not ${threads}`);
  }
  const names = providers.map(nameOf);
  if (new Set(names).size !== names.length) {
    throw new SdkError("invalid-options", `providers name one twice: ${names.join(", ")}`);
  }
  for (const key of [replay, weightsInBytes]) {
    if (Object.hasOwn(configEntries, key)) {
      throw new SdkError("invalid-options", `configEntries may not hold ${key}: the SDK sets it`);
    }
  }
}

/** Returns a provider's name. */
export function nameOf(provider: Provider): ProviderName {
  return typeof provider === "string" ? provider : provider.name;
}

/**
 * Returns the file that is opened.
 *
 * @throws SdkError `invalid-options`: no file of that style is packaged.
 */
export function chooseVariant(model: ModelDescriptor, style: ModelStyle | undefined): ModelVariant {
  const styles = [...new Set(model.variants.map((variant) => variant.style))];
  const chosen = style ?? styles[0];
  const candidates = model.variants.filter((variant) => variant.style === chosen);
  // Blocked layouts of one family of CPUs are no use in WebAssembly.
  const variant = candidates.find(({ target }) => target !== "amd64") ?? candidates[0];
  if (variant === undefined) {
    const message = `The model ${model.name} is not packaged as ${chosen}, only as ${styles.join(", ")}`;
    throw new SdkError("invalid-options", message);
  }
  return variant;
}

/** What became of the providers that were asked for. */
export interface ProviderReport {
  readonly requested: readonly ProviderName[];
  /** In order; WebAssembly, which takes what is left, is the last. */
  readonly registered: readonly ProviderName[];
  /** Asked for, but not there. */
  readonly missing: readonly ProviderName[];
}

/**
 * Decides which providers a session is made with.
 *
 * @throws SdkError `provider-unavailable`: one that is asked for is not there.
 */
export function chooseProviders(
  options: SessionOptions,
  built: readonly ProviderName[],
  absent: ReadonlyMap<ProviderName, string>,
): { readonly providers: readonly Provider[]; readonly report: ProviderReport } {
  const asked = options.providers ?? built;
  const missing = asked.map(nameOf).filter((name) => absent.has(name));
  if (missing.length > 0 && options.providers && !options.allowsMissingProviders) {
    const reasons = missing.map((name) => `${name} is not available: ${absent.get(name) ?? ""}`);
    throw new SdkError("provider-unavailable", reasons.join("; "));
  }
  const found = asked.filter((provider) => !absent.has(nameOf(provider)));
  const names = found.map(nameOf);
  return {
    providers: names.includes("wasm") ? found : [...found, "wasm"],
    report: {
      requested: asked.map(nameOf),
      registered: [...names.filter((name) => name !== "wasm"), "wasm"],
      missing,
    },
  };
}

/** Returns what the runtime creates the session with. */
export function runtimeOptions(
  options: SessionOptions,
  variant: ModelVariant,
  providers: readonly Provider[],
): InferenceSession.SessionOptions {
  const extra: Record<string, string> = { ...options.configEntries };
  if (variant.style === "runtime") extra[replay] = options.replaysOptimizations === false ? "0" : "1";
  return {
    executionProviders: runtimeProviders(providers, variant),
    extra,
    logSeverityLevel: 3,
  };
}

/**
 * WebAssembly always takes what others leave. Named beside them it would take all in silence where
 * another one fails to start.
 */
function runtimeProviders(
  providers: readonly Provider[],
  variant: ModelVariant,
): ProviderWithOptions[] {
  const others = providers.filter((provider) => nameOf(provider) !== "wasm");
  return (others.length > 0 ? others : providers).map((item) => providerOption(item, variant));
}

/** A fixed file has no room for WebGPU's own layout, which it would otherwise ask for. */
function providerOption(provider: Provider, variant: ModelVariant): ProviderWithOptions {
  const given = typeof provider === "string" ? { name: provider } : provider;
  const fixed = given.name === "webgpu" && variant.style === "fixed";
  return fixed ? { preferredLayout: "NCHW", ...given } : given;
}
