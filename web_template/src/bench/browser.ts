import { gpuAdapter } from "../sdk/runtime";
import type { BrowserFacts, Conditions } from "./protocol";

interface Battery {
  readonly level: number;
  readonly charging: boolean;
}

/** Returns the state of the machine, as far as a page is told. */
export async function conditions(): Promise<Conditions> {
  const navigator = globalThis.navigator as { getBattery?: () => Promise<Battery> } | undefined;
  const battery = (await navigator?.getBattery?.().catch(() => null)) ?? null;
  return {
    battery_percent: battery && Math.round(battery.level * 100),
    charging: battery && battery.charging,
    foreground: typeof document === "undefined" ? null : isVisible(),
  };
}

function isVisible(): boolean {
  return typeof document === "undefined" || document.visibilityState === "visible";
}

/** Notices whether the page is hidden at any time. */
export class VisibilityWatch {
  #wasVisible = isVisible();
  readonly #listener = (): void => {
    if (!isVisible()) this.#wasVisible = false;
  };

  constructor() {
    globalThis.document?.addEventListener("visibilitychange", this.#listener);
  }

  /** Returns whether the page was visible all the time, and stops watching. */
  async end(): Promise<boolean> {
    // What happened while runs kept the page busy is only told once it is idle.
    await new Promise((resolve) => setTimeout(resolve));
    this.#listener();
    globalThis.document?.removeEventListener("visibilitychange", this.#listener);
    return this.#wasVisible;
  }
}

/** WebGPU's adapter in words, and whether it is software. */
export interface AdapterFacts {
  readonly adapter: string | null;
  readonly adapter_is_fallback: boolean | null;
}

/** Returns what is known of WebGPU's adapter. */
export async function adapterFacts(): Promise<AdapterFacts> {
  const adapter = await gpuAdapter();
  if (adapter === null) return { adapter: null, adapter_is_fallback: null };
  const { vendor, architecture, device, description } = adapter.info ?? {};
  const words = [vendor, architecture, device, description].filter(Boolean).join(" ");
  return {
    adapter: words || "unnamed",
    adapter_is_fallback: adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter ?? null,
  };
}

/** Returns what only a page can tell of its browser. */
export function browserFacts(
  stepNs: number,
  threads: Pick<BrowserFacts, "threads_asked" | "threads_got">,
  adapter: AdapterFacts,
  visible: boolean,
): BrowserFacts {
  return {
    cross_origin_isolated: globalThis.crossOriginIsolated ?? false,
    clock_step_ns: stepNs,
    ...threads,
    ...adapter,
    visible,
    user_agent: globalThis.navigator?.userAgent ?? "",
  };
}
