import { createHash } from "node:crypto";

import { beforeAll, describe, expect, it } from "vitest";

import { runBlock } from "../src/bench/block";
import type { Driver } from "../src/bench/driver";
import { watchConsole } from "../src/bench/profile";
import type { BlockRequest, BlockResult, Stage } from "../src/bench/protocol";
import type { ElementType } from "../src/sdk/tensors";
import { watchWasmHeap } from "../src/sdk/wasm_heap";
import { expandingModel, identityModel } from "./models";
import { hasVectors, protocolFile, protocolJson } from "./vectors";

interface FailureCase {
  readonly name: string;
  readonly changes: { at: (string | number)[]; value?: unknown; remove?: boolean }[];
  readonly stage: Stage;
  readonly kind: string;
}

interface TensorCase {
  readonly name: string;
  readonly element_type: ElementType | "bfloat16";
  readonly shape: number[];
  readonly hex: string;
}

const failures = hasVectors
  ? protocolJson<{ request: BlockRequest; cases: FailureCase[] }>("failures.json")
  : { request: {} as BlockRequest, cases: [] };
const tensors = hasVectors
  ? protocolJson<{ valid: TensorCase[] }>("tensor_files/tensors.json").valid
  : [];

/** Of the vectors: what onnxruntime-web has no tensors for, and a text with U+0000. */
const refused = new Set(["bfloat16 with infinities", "string"]);

class MemoryDriver implements Driver {
  readonly stages: Stage[] = [];
  readonly written = new Map<string, Uint8Array>();

  constructor(
    readonly files: Readonly<Record<string, Uint8Array>> = {},
    readonly isFull = false,
  ) {}

  read(path: string): Promise<Uint8Array | null> {
    const own = this.files[path];
    if (own) return Promise.resolve(own);
    try {
      return Promise.resolve(Uint8Array.from(protocolFile(`models/${path}`)));
    } catch {
      return Promise.resolve(null);
    }
  }

  progress(stage: Stage): Promise<void> {
    this.stages.push(stage);
    return Promise.resolve();
  }

  write(name: string, bytes: Uint8Array): Promise<void> {
    if (this.isFull) return Promise.reject(new Error("the disk is full"));
    this.written.set(name, bytes.slice());
    return Promise.resolve();
  }
}

async function run(request: unknown, driver: Driver = new MemoryDriver()): Promise<BlockResult> {
  const startedMs = performance.now();
  const result = await runBlock(request, driver, { startedMs, sharedProcess: true });
  if (result === null) throw new Error("nobody can be answered");
  return result;
}

function changed(changes: FailureCase["changes"]): unknown {
  const request = structuredClone(failures.request) as unknown;
  for (const { at, value, remove } of changes) {
    const path = at.slice(0, -1);
    const last = at.at(-1) ?? "";
    const owner = path.reduce<unknown>(
      (inside, key) => (inside as Record<string, unknown>)[key],
      request,
    ) as Record<string, unknown>;
    if (remove) Reflect.deleteProperty(owner, last);
    else owner[last] = value;
  }
  return request;
}

const asked = (changes: Partial<BlockRequest>): BlockRequest => ({ ...failures.request, ...changes });

describe.skipIf(!hasVectors)("a block", () => {
  beforeAll(() => {
    watchConsole();
    watchWasmHeap();
  });

  it.each(failures.cases)("fails as the vectors say: $name", async ({ changes, stage, kind }) => {
    const { failure, block_id: id } = await run(changed(changes));
    expect(failure).toMatchObject({ stage, kind });
    expect(failure?.message).not.toBe("");
    expect(id).toBe("vector");
  });

  it.each([null, [[]], {}, { block_id: "a" }, { block_id: "a", output_directory: "" }])(
    "that has no one to answer to is not run: %j",
    async (request) => {
      const setting = { startedMs: 0, sharedProcess: false };
      expect(await runBlock(request, new MemoryDriver(), setting)).toBeNull();
    },
  );

  it("for parity writes the outputs", async () => {
    const driver = new MemoryDriver();
    const result = await run(asked({ purpose: "parity" }), driver);
    expect(result.failure).toBeNull();
    const bytes = driver.written.get("output-0.bin") ?? new Uint8Array();
    expect(Array.from(new Float32Array(bytes.buffer))).toEqual([0, 2, 4, 6, 8, 10]);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    expect(result.outputs).toEqual([
      { name: "y", element_type: "float", shape: [2, 3], path: "output-0.bin", sha256 },
    ]);
    expect(result.registered_providers).toEqual(["CPUExecutionProvider"]);
    expect(result.runtime).toMatchObject({ shared_process: true, language: "typescript" });
    expect(driver.stages).toEqual([
      "start",
      "load_model",
      "create_session",
      "first_run",
      "read_output",
      "close",
    ]);
  });

  it("for latency warms up and measures", async () => {
    const driver = new MemoryDriver();
    const { failure, timing } = await run(asked({ purpose: "latency" }), driver);
    expect(failure).toBeNull();
    expect(timing.warm_up_converged).toBeTypeOf("boolean");
    expect(timing.measured_ns?.length).toBeGreaterThanOrEqual(failures.request.stop.min_runs);
    expect(timing.stop_reason).toBe("complete");
    const all = [...(timing.warm_up_ns ?? []), ...(timing.measured_ns ?? [])];
    expect(all.every((duration) => Number.isInteger(duration) && duration >= 0)).toBe(true);
    expect(driver.stages.slice(3)).toEqual(["first_run", "warm_up", "measure", "close"]);
  });

  it("for memory reads the heap at every phase", async () => {
    const { failure, memory } = await run(asked({ purpose: "memory", measured_runs: 7 }));
    expect(failure).toBeNull();
    const heap = memory.filter((point) => point.metric === "WasmHeap");
    expect(heap.map((point) => point.phase)).toEqual([
      "baseline",
      "environment",
      "loaded",
      "first_run",
      "warm",
      "end",
      "closed",
    ]);
    const sizes = heap.map((point) => point.size_bytes);
    expect(sizes).toEqual([...sizes].sort((a, b) => a - b));
    expect(sizes.at(-1)).toBeGreaterThanOrEqual(1 << 24);
  });

  it("for a profile hands over what the runtime prints", async () => {
    const driver = new MemoryDriver();
    const result = await run(asked({ purpose: "profile", measured_runs: 3 }), driver);
    expect(result.failure).toBeNull();
    const profile = driver.written.get(result.profile_path ?? "");
    const events = JSON.parse(Buffer.from(profile ?? []).toString("utf8")) as { name: string }[];
    expect(events.filter((event) => event.name === "model_run")).toHaveLength(3);
    expect(result.timing.measured_ns).toHaveLength(2);
  });

  it("for a cold start runs once", async () => {
    const driver = new MemoryDriver();
    const { failure, timing } = await run(asked({ purpose: "cold_start" }), driver);
    expect(failure).toBeNull();
    expect(timing.first_run_ns).toBeGreaterThan(0);
    expect(driver.stages.slice(3)).toEqual(["first_run", "close"]);
  });

  it("stops at its deadline and tells what it had", async () => {
    const stop = { min_runs: 5, min_ns: 1e15, max_ns: 1e16, floor_runs: 5 };
    const { failure, timing } = await run(asked({ purpose: "latency", stop, deadline_s: 1 }));
    expect(failure).toMatchObject({ stage: "measure", kind: "deadline" });
    expect(timing.measured_ns?.length).toBeGreaterThan(0);
    expect(timing.stop_reason).toBeUndefined();
  });

  it.each([2n ** 44n, 2n ** 30n, 2n ** 62n])(
    "that makes %d numbers runs out of memory, and does not disturb the next",
    async (count) => {
      const model = expandingModel();
      const sha256 = createHash("sha256").update(model).digest("hex");
      const file = (name: string, type: ElementType) =>
        ({ name, element_type: type, shape: [1], path: name, sha256: null }) as const;
      const expanding = (size: bigint): Promise<BlockResult> =>
        run(
          asked({
            model: { path: "m", sha256, load_mode: "bytes", custom_op_library: null },
            inputs: [file("x", "float"), file("s", "int64")],
          }),
          new MemoryDriver({
            m: model,
            x: new Uint8Array(4),
            s: new Uint8Array(BigInt64Array.of(size).buffer),
          }),
        );
      const { failure } = await expanding(count);
      expect(failure).toMatchObject({ stage: "first_run", kind: "out_of_memory" });
      expect((await expanding(7n)).outputs).toMatchObject([{ shape: [7] }]);
    },
  );

  it("whose outputs cannot be kept fails in read_output", async () => {
    const result = await run(asked({ purpose: "parity" }), new MemoryDriver({}, true));
    expect(result.failure).toMatchObject({ stage: "read_output" });
  });

  it.each([
    ["threads that cannot be changed any more", { intra_op_num_threads: 3 }, "start"],
    ["a setting that browsers lack", { inter_op_num_threads: 2 }, "create_session"],
    [
      "weights in bytes that are freed",
      { config_entries: { "session.use_ort_model_bytes_for_initializers": "1" } },
      "create_session",
    ],
  ])("refuses %s", async (_, settings, stage) => {
    const { failure } = await run(asked({ session: { ...failures.request.session, ...settings } }));
    expect(failure).toMatchObject({ stage, kind: "unsupported" });
  });

  it("refuses options that a provider does not have", async () => {
    const providers = [{ name: "CPUExecutionProvider", options: { magic: "1" } }];
    const { failure } = await run(asked({ providers }));
    expect(failure).toMatchObject({ stage: "create_session", kind: "provider_failed" });
  });

  it.each(tensors)("takes every element type through the runtime: $name", async (vector) => {
    const type = vector.element_type === "bfloat16" ? "float" : vector.element_type;
    const model = identityModel(type);
    const driver = new MemoryDriver({ m: model, x: Buffer.from(vector.hex, "hex") });
    const sha256 = createHash("sha256").update(model).digest("hex");
    const result = await run(
      asked({
        model: { path: "m", sha256, load_mode: "path", custom_op_library: null },
        inputs: [
          {
            name: "x",
            element_type: vector.element_type,
            shape: vector.shape,
            path: "x",
            sha256: null,
          },
        ],
      }),
      driver,
    );
    if (refused.has(vector.name)) {
      expect(result.failure).toMatchObject({ stage: "start", kind: "unsupported" });
      return;
    }
    expect(result.failure).toBeNull();
    expect(result.outputs).toMatchObject([{ element_type: type, shape: vector.shape }]);
    const bytes = driver.written.get("output-0.bin") ?? [];
    expect(Buffer.from(bytes).toString("hex")).toBe(vector.hex);
  });
});
