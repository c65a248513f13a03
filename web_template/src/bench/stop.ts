import type { StopReason, StopRule } from "./protocol";

/** Returns why measurement ends after so many runs that took so long in all, or null. */
export function stopReason(runs: number, elapsedNs: number, rule: StopRule): StopReason | null {
  if (runs >= rule.min_runs && elapsedNs >= rule.min_ns) return "complete";
  if (elapsedNs >= rule.max_ns && runs >= rule.floor_runs) {
    return runs > rule.floor_runs ? "time_limit" : "too_few_runs";
  }
  return null;
}
