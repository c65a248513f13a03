import { wasmHeapBytes } from "../sdk/wasm_heap";
import type { MemoryPhase, MemoryPoint } from "./protocol";

const scope = "page";
/** The browser answers after its next garbage collection; Chromium waits up to 20 s for one. */
const longestMs = 20_000;
/** The browser's own figure may cost this share of what is left of the deadline, each time. */
const shareOfDeadline = 1 / 4;

interface MeasuringPerformance {
  measureUserAgentSpecificMemory?: () => Promise<{ readonly bytes: number }>;
}

/** Reads memory at the end of each phase. */
export class MemoryReader {
  readonly points: MemoryPoint[] = [];
  #browserAnswers = true;

  /** @param deadlineMs Moment of `performance.now` at which the block has to be over. */
  async read(phase: MemoryPhase, deadlineMs: number): Promise<void> {
    this.#add("WasmHeap", "peak", phase, wasmHeapBytes());
    const size = this.#browserAnswers ? await browserBytes(deadlineMs) : null;
    if (size === null) this.#browserAnswers = false;
    else this.#add("UserAgentSpecificMemory", "current", phase, size);
  }

  #add(metric: string, kind: MemoryPoint["kind"], phase: MemoryPhase, size: number): void {
    this.points.push({ metric, kind, scope, phase, size_bytes: size });
  }
}

/** Returns what the browser says, or null where it cannot or takes too long. */
async function browserBytes(deadlineMs: number): Promise<number | null> {
  const measuring = performance as MeasuringPerformance;
  if (measuring.measureUserAgentSpecificMemory === undefined) return null;
  const patienceMs = Math.min(longestMs, (deadlineMs - performance.now()) * shareOfDeadline);
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    const patience = new Promise<null>((resolve) => {
      timer = setTimeout(resolve, Math.max(0, patienceMs), null);
    });
    const answer = await Promise.race([measuring.measureUserAgentSpecificMemory(), patience]);
    return answer?.bytes ?? null;
  } catch {
    return null;
  } finally {
    clearTimeout(timer);
  }
}
