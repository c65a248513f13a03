import type { WarmUpRule } from "./protocol";

/** Returns the median; of an even number the mean of the middle two, rounded down. */
export function medianNs(durations: readonly number[]): number {
  const ordered = [...durations].sort((a, b) => a - b);
  const middle = ordered.length >> 1;
  const upper = ordered[middle] ?? 0;
  if (ordered.length % 2 === 1) return upper;
  return Math.floor(((ordered[middle - 1] ?? 0) + upper) / 2);
}

/** Decides after each warm-up run whether to go on; see "Warm-up" of the benchmark protocol. */
export class WarmUp {
  readonly #rule: WarmUpRule;
  #runs = 0;
  #elapsedNs = 0;
  #window: number[] = [];
  #previousNs: number | null = null;
  #windowRuns: number;

  /** @param firstRunNs Duration of the first run, which sizes the first window. */
  constructor(rule: WarmUpRule, firstRunNs: number) {
    this.#rule = rule;
    this.#windowRuns = this.#sizeOfWindow(firstRunNs);
  }

  /** Median of the newest runs, to size what follows. */
  get lastMedianNs(): number {
    return this.#previousNs ?? (this.#window.length > 0 ? medianNs(this.#window) : 0);
  }

  /** Takes one run; returns true when converged, false when given up, null to go on. */
  add(durationNs: number): boolean | null {
    const rule = this.#rule;
    this.#runs += 1;
    this.#elapsedNs += durationNs;
    this.#window.push(durationNs);
    if (this.#window.length >= this.#windowRuns && this.#closeWindow()) return true;
    if (this.#elapsedNs >= rule.hard_limit_ns) return false;
    return this.#elapsedNs >= rule.max_ns && this.#runs >= rule.max_runs ? false : null;
  }

  /** Compares the full window with the one before, and opens the next. */
  #closeWindow(): boolean {
    const latest = medianNs(this.#window);
    const previous = this.#previousNs;
    this.#previousNs = latest;
    this.#window = [];
    this.#windowRuns = this.#sizeOfWindow(latest);
    if (previous === null || this.#elapsedNs < this.#rule.min_ns) return false;
    return Math.abs(latest - previous) <= this.#rule.agreement * previous;
  }

  #sizeOfWindow(runNs: number): number {
    const { window_min_runs: least, window_ns: length } = this.#rule;
    return Math.max(least, Math.ceil(length / Math.max(1, runNs)));
  }
}
