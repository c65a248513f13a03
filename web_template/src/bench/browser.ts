import { gpuAdapter } from "../sdk/runtime";
import type { BrowserFacts, Conditions } from "./protocol";

interface Battery {
  readonly level: number;
  readonly charging: boolean;
}

/** Tests run where there is none. */
const hasDocument = typeof document !== "undefined";

/** Returns the state of the machine, as far as a page is told. */
export async function conditions(): Promise<Conditions> {
  const { getBattery } = navigator as { getBattery?: () => Promise<Battery> };
  const battery = (await getBattery?.call(navigator).catch(() => null)) ?? null;
  return {
    battery_percent: battery === null ? null : Math.round(battery.level * 100),
    charging: battery?.charging ?? null,
    foreground: hasDocument ? isVisible() : null,
  };
}

function isVisible(): boolean {
  return !hasDocument || document.visibilityState === "visible";
}

/** Notices whether the page is hidden at any time. */
export class VisibilityWatch {
  #wasVisible = isVisible();
  readonly #listener = (): void => {
    if (!isVisible()) this.#wasVisible = false;
  };

  constructor() {
    if (hasDocument) document.addEventListener("visibilitychange", this.#listener);
  }

  /** Returns whether the page was visible all the time, and stops watching. */
  async end(): Promise<boolean> {
    // What happened while runs kept the page busy is only told once it is idle.
    await new Promise((resolve) => setTimeout(resolve));
    this.#listener();
    if (hasDocument) document.removeEventListener("visibilitychange", this.#listener);
    return this.#wasVisible;
  }
}

/** Nothing is known of an adapter that nobody asked for. */
export const noAdapter: AdapterFacts = { adapter: null, adapter_is_fallback: null };

/** WebGPU's adapter in words, and whether it is software. */
export interface AdapterFacts {
  readonly adapter: string | null;
  readonly adapter_is_fallback: boolean | null;
}

/** Returns what is known of WebGPU's adapter. */
export async function adapterFacts(): Promise<AdapterFacts> {
  const adapter = await gpuAdapter();
  if (adapter === null) return noAdapter;
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
    cross_origin_isolated: hasDocument && crossOriginIsolated,
    clock_step_ns: stepNs,
    ...threads,
    ...adapter,
    visible,
    user_agent: navigator.userAgent,
  };
}
