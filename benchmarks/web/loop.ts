import { measureRuns } from "./measuring";
import { startRuntime } from "../sdk/runtime";

const warmUpRuns = 100;
const farMs = 3.6e6;

interface Question {
  readonly model: string;
  readonly shape: readonly number[];
  readonly rounds: number;
  readonly runs: number;
}

/**
 * Times chunks of runs by the page's loop and by a bare one, in random order; answers the wall
 * milliseconds of both for each round: block, bare.
 */
async function compare({ model, shape, rounds, runs }: Question): Promise<[number, number][]> {
  const { ort } = await startRuntime(1);
  const bytes = new Uint8Array(await (await fetch(model)).arrayBuffer());
  const session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
  const elements = new Float32Array(shape.reduce((a, b) => a * b, 1));
  const feeds = { x: new ort.Tensor("float32", elements, shape) };
  const run = (): Promise<unknown> => session.run(feeds);

  const block = async (count: number): Promise<void> => {
    const rule = { min_runs: count, min_ns: 0, max_ns: farMs * 1e6, floor_runs: 5 };
    await measureRuns(run, rule, 1, performance.now() + farMs);
  };
  const bare = async (count: number): Promise<Float64Array> => {
    const samples = new Float64Array(count);
    for (let at = 0; at < count; at += 1) {
      const started = performance.now();
      await session.run(feeds);
      samples[at] = performance.now() - started;
    }
    return samples;
  };
  const wallMs = async (loop: (count: number) => Promise<unknown>): Promise<number> => {
    const started = performance.now();
    await loop(runs);
    return performance.now() - started;
  };

  await block(warmUpRuns);
  await bare(warmUpRuns);
  const pairs: [number, number][] = [];
  for (let round = 0; round < rounds; round += 1) {
    if (Math.random() < 0.5) {
      const first = await wallMs(block);
      pairs.push([first, await wallMs(bare)]);
    } else {
      const first = await wallMs(bare);
      pairs.push([await wallMs(block), first]);
    }
  }
  return pairs;
}

Object.assign(globalThis, { compare });
