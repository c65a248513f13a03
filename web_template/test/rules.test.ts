import { describe, expect, it } from "vitest";

import type { StopRule, WarmUpRule } from "../src/bench/protocol";
import { stopReason } from "../src/bench/stop";
import { medianNs, WarmUp } from "../src/bench/warm_up";
import { hasVectors, protocolJson } from "./vectors";

type Durations = readonly (readonly [duration: number, times: number])[];

interface WarmUpCase {
  readonly name: string;
  readonly rule: WarmUpRule;
  readonly first_run_ns: number;
  readonly durations_ns: Durations;
  readonly runs: number | null;
  readonly converged: boolean | null;
}

interface StopCase {
  readonly name: string;
  readonly rule: StopRule;
  readonly durations_ns: Durations;
  readonly runs: number | null;
  readonly stop_reason: string | null;
}

function* each(durations: Durations): Generator<number> {
  for (const [duration, times] of durations) {
    for (let time = 0; time < times; time += 1) yield duration;
  }
}

describe.skipIf(!hasVectors)("the warm-up rule", () => {
  const { cases } = hasVectors
    ? protocolJson<{ cases: WarmUpCase[] }>("warm_up.json")
    : { cases: [] };

  it.each(cases)("$name", ({ rule, first_run_ns, durations_ns, runs, converged }) => {
    const warmUp = new WarmUp(rule, first_run_ns);
    let made = 0;
    let decision: boolean | null = null;
    for (const duration of each(durations_ns)) {
      made += 1;
      decision = warmUp.add(duration);
      if (decision !== null) break;
    }
    expect([decision === null ? null : made, decision]).toEqual([runs, converged]);
  });
});

describe.skipIf(!hasVectors)("the stop rule", () => {
  const { cases } = hasVectors ? protocolJson<{ cases: StopCase[] }>("stop.json") : { cases: [] };

  it.each(cases)("$name", ({ rule, durations_ns, runs, stop_reason }) => {
    let made = 0;
    let elapsed = 0;
    let reason: string | null = null;
    for (const duration of each(durations_ns)) {
      made += 1;
      elapsed += duration;
      reason = stopReason(made, elapsed, rule);
      if (reason !== null) break;
    }
    expect([reason === null ? null : made, reason]).toEqual([runs, stop_reason]);
  });
});

describe("the median", () => {
  it.each([
    [[3], 3],
    [[10, 1, 2], 2],
    [[1, 2, 4, 10], 3],
    [[1, 2], 1],
  ])("of %j is %d", (durations, expected) => {
    expect(medianNs(durations)).toBe(expected);
  });
});
