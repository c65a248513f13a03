import { absentProviders, availableProviders, loadRuntime } from "../sdk/runtime";
import type { ProviderName, Runtime } from "../sdk/runtime";
import { adapterFacts, browserFacts } from "./browser";
import { clockStepNs } from "./clock";
import type { RuntimeFacts } from "./protocol";

/** Version of this runner. */
const runnerVersion = "1";

/** The runtime's own names of execution providers. */
export const runtimeNames: Readonly<Record<ProviderName, string>> = {
  wasm: "CPUExecutionProvider",
  webgpu: "WebGpuExecutionProvider",
  webnn: "WebNNExecutionProvider",
};

/** Returns what runs blocks here. */
export async function runtimeFacts(
  runtime: Runtime,
  sharedProcess: boolean,
): Promise<RuntimeFacts> {
  return {
    ort_version: runtime.ort.env.versions.web ?? "",
    language: "typescript",
    language_version: __TYPESCRIPT_VERSION__,
    runner_version: runnerVersion,
    available_providers: (await availableProviders(runtime)).map((name) => runtimeNames[name]),
    build_info: null,
    shared_process: sharedProcess,
    app_build: import.meta.env.PROD ? "release" : "debug",
    debugger_attached: null,
  };
}

/** Returns what a page that takes many blocks tells of itself first. */
export async function introduction(): Promise<Readonly<Record<string, unknown>>> {
  const runtime = await loadRuntime();
  const absent = await absentProviders(runtime);
  const threads = { threads_asked: null, threads_got: null };
  const visible = document.visibilityState === "visible";
  return {
    runtime: await runtimeFacts(runtime, true),
    browser: browserFacts(clockStepNs(), threads, await adapterFacts(), visible),
    absent_providers: Object.fromEntries(
      Array.from(absent, ([name, reason]) => [runtimeNames[name], reason]),
    ),
    hardware_concurrency: navigator.hardwareConcurrency,
    device_memory_gb: (navigator as { deviceMemory?: number }).deviceMemory ?? null,
    platform: platformName(),
  };
}

/** Returns what the browser tells of its system; older ones have only the deprecated word. */
function platformName(): string {
  const { userAgentData, platform } = navigator as {
    userAgentData?: { readonly platform: string };
    platform?: string;
  };
  return userAgentData?.platform ?? platform ?? "";
}
