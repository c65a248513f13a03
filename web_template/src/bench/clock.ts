/** Name of the clock of all durations. */
export const clockName = "performance.now";

const steps = 32;
const longestMs = 50;

/** Returns the moment in nanoseconds since the page was opened. */
export function nowNs(): number {
  return durationNs(0, performance.now());
}

/** Returns what lies between two readings of `performance.now`, in whole nanoseconds. */
export function durationNs(startedMs: number, endedMs: number): number {
  return Math.max(0, Math.round((endedMs - startedMs) * 1e6));
}

/** Returns the smallest difference other than 0 between successive readings, in nanoseconds. */
export function clockStepNs(): number {
  let smallest = Infinity;
  const end = performance.now() + longestMs;
  let before = performance.now();
  for (let seen = 0; seen < steps && before < end; ) {
    const now = performance.now();
    if (now === before) continue;
    smallest = Math.min(smallest, now - before);
    before = now;
    seen += 1;
  }
  return smallest === Infinity ? 0 : durationNs(0, smallest);
}
