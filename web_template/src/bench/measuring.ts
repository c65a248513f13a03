import { durationNs } from "./clock";
import type { StopReason, StopRule, WarmUpRule } from "./protocol";
import { stopReason } from "./stop";
import { WarmUp } from "./warm_up";

/** The model, once, on inputs that exist already. */
export type Run = () => Promise<unknown>;

/** The block's deadline passed between two runs; `durations` are those made until then. */
export class DeadlineReached extends Error {
  constructor(readonly durations: readonly number[]) {
    super(`the deadline passed after ${durations.length} runs`);
  }
}

const leastCapacity = 64;
const largestCapacity = 2 ** 22;

/**
 * Runs until the warm-up rule is met or given up.
 *
 * @param deadlineMs Moment of `performance.now` at which to stop.
 * @throws DeadlineReached Before the rule was decided.
 */
export async function warmUp(
  run: Run,
  rule: WarmUpRule,
  firstRunNs: number,
  deadlineMs: number,
): Promise<{ durations: number[]; converged: boolean; expectedNs: number }> {
  const decision = new WarmUp(rule, firstRunNs);
  const durations: number[] = [];
  for (;;) {
    const started = performance.now();
    await run();
    const ended = performance.now();
    const duration = durationNs(started, ended);
    durations.push(duration);
    const converged = decision.add(duration);
    if (converged !== null) return { durations, converged, expectedNs: decision.lastMedianNs };
    if (ended >= deadlineMs) throw new DeadlineReached(durations);
  }
}

/**
 * Runs until the stop rule is met; the timed section holds the run and nothing else.
 *
 * @param expectedNs Duration of a run as warm-up saw it, to size the array of samples.
 * @param deadlineMs Moment of `performance.now` at which to stop.
 * @throws DeadlineReached Before the rule was met.
 */
export async function measureRuns(
  run: Run,
  rule: StopRule,
  expectedNs: number,
  deadlineMs: number,
): Promise<{ durations: number[]; reason: StopReason }> {
  let samples = new Float64Array(capacity(rule, expectedNs));
  let count = 0;
  let elapsedNs = 0;
  for (;;) {
    const started = performance.now();
    await run();
    const ended = performance.now();
    const duration = durationNs(started, ended);
    samples[count] = duration;
    count += 1;
    elapsedNs += duration;
    const reason = stopReason(count, elapsedNs, rule);
    if (reason !== null) return { durations: Array.from(samples.subarray(0, count)), reason };
    if (ended >= deadlineMs) throw new DeadlineReached(Array.from(samples.subarray(0, count)));
    if (count === samples.length) {
      // Between two runs: no sample contains it.
      const larger = new Float64Array(2 * count);
      larger.set(samples);
      samples = larger;
    }
  }
}

/** Returns how many runs the rule can take, with room to spare where runs get faster. */
function capacity(rule: StopRule, expectedNs: number): number {
  const likely = Math.ceil((rule.min_ns * 1.25) / Math.max(1, expectedNs));
  const wanted = Math.max(likely, rule.min_runs) + 1;
  return Math.max(leastCapacity, Math.min(largestCapacity, wanted));
}
