import type { InferenceSession } from "onnxruntime-web";

import { startRuntime } from "../sdk/runtime";
import type { StartedRuntime } from "../sdk/runtime";
import { adapterFacts, browserFacts, conditions, noAdapter, VisibilityWatch } from "./browser";
import { clockName, clockStepNs, durationNs } from "./clock";
import type { Driver } from "./driver";
import { failureOf, Refused } from "./failures";
import { DeadlineReached, measureRuns, warmUp } from "./measuring";
import type { Run } from "./measuring";
import { MemoryReader } from "./memory";
import { takeProfile } from "./profile";
import type { BlockRequest, BlockResult, MemoryPhase, Stage, Timing } from "./protocol";
import { answerable, problemOf } from "./request_check";
import { runtimeFacts, runtimeNames } from "./runtime_facts";
import {
  checkAvailable,
  checkOutputs,
  readInputs,
  readModel,
  sessionOptions,
  writeOutputs,
} from "./sessions";

const profileName = "profile.json";

/** How a block is run. */
export interface BlockSetting {
  /** Moment of `performance.now` at which its deadline begins to count. */
  readonly startedMs: number;
  /** Whether other blocks run in this page. */
  readonly sharedProcess: boolean;
}

/**
 * Runs a block and returns its result, failed or not; null where the request has no block to
 * answer to.
 */
export async function runBlock(
  request: unknown,
  driver: Driver,
  setting: BlockSetting,
): Promise<BlockResult | null> {
  const id = answerable(request);
  if (id === null) return null;
  const stepNs = clockStepNs();
  const problem = problemOf(request);
  if (problem !== "") {
    const result = emptyResult(id, [], stepNs);
    result.failure = failureOf(new Refused("invalid_request", problem), "start");
    return result;
  }
  return new Block(request as BlockRequest, driver, setting, stepNs).run();
}

/** One request on its way through the stages; what is known so far is in the result. */
class Block {
  readonly #request: BlockRequest;
  readonly #driver: Driver;
  readonly #setting: BlockSetting;
  readonly #stepNs: number;
  readonly #deadlineMs: number;
  readonly #memory = new MemoryReader();
  readonly #result: BlockResult;
  readonly #timing: Timing;
  #adapter = noAdapter;
  #runtime: StartedRuntime | null = null;
  #session: InferenceSession | null = null;
  #stage: Stage = "start";

  constructor(request: BlockRequest, driver: Driver, setting: BlockSetting, stepNs: number) {
    this.#request = request;
    this.#driver = driver;
    this.#setting = setting;
    this.#stepNs = stepNs;
    this.#deadlineMs = setting.startedMs + request.deadline_s * 1000;
    this.#result = emptyResult(request.block_id, request.providers, stepNs);
    this.#timing = this.#result.timing;
  }

  async run(): Promise<BlockResult> {
    const visibility = new VisibilityWatch();
    try {
      await this.#goThroughStages();
    } catch (error) {
      this.#result.failure = failureOf(error, this.#stage);
      await this.#session?.release().catch(() => undefined);
    }
    this.#result.memory.push(...this.#memory.points);
    const threads = {
      threads_asked: threadsOf(this.#request),
      threads_got: this.#runtime?.ort.env.wasm.numThreads ?? null,
    };
    const visible = await visibility.end();
    this.#result.browser = browserFacts(this.#stepNs, threads, this.#adapter, visible);
    return this.#result;
  }

  async #goThroughStages(): Promise<void> {
    await this.#enter("start");
    await this.#readMemory("baseline");
    const runtime = await this.#startRuntime();
    const feeds = await readInputs(runtime.ort, this.#request.inputs, this.#driver);
    await this.#readMemory("environment");
    this.#result.conditions_before = await conditions();
    const session = await this.#createSession(runtime);
    await this.#readMemory("loaded");
    await this.#runAsAsked(session, () => session.run(feeds));
    await this.#enter("close");
    await this.#close(session);
    this.#result.conditions_after = await conditions();
  }

  // ------------------------------------------------------------------------------ stages

  async #enter(stage: Stage): Promise<void> {
    this.#stage = stage;
    await this.#driver.progress(stage);
    this.#checkDeadline();
  }

  #checkDeadline(): void {
    if (performance.now() >= this.#deadlineMs) throw new DeadlineReached([]);
  }

  async #readMemory(phase: MemoryPhase): Promise<void> {
    if (this.#request.purpose === "memory") await this.#memory.read(phase, this.#deadlineMs);
  }

  async #startRuntime(): Promise<StartedRuntime> {
    const { providers } = this.#request;
    const started = performance.now();
    const runtime = await startRuntime(threadsOf(this.#request));
    this.#timing.environment_ns = durationNs(started, performance.now());
    this.#runtime = runtime;
    const facts = await runtimeFacts(runtime, this.#setting.sharedProcess);
    this.#result.runtime = facts;
    if (providers.some(({ name }) => name === runtimeNames.webgpu)) {
      this.#adapter = await adapterFacts();
    }
    checkAvailable(providers, facts.available_providers);
    return runtime;
  }

  async #createSession(runtime: StartedRuntime): Promise<InferenceSession> {
    await this.#enter("load_model");
    const { bytes, durationMs } = await readModel(this.#request.model, this.#driver);
    this.#timing.load_model_ns = durationNs(0, durationMs);
    await this.#enter("create_session");
    const options = sessionOptions(this.#request);
    const started = performance.now();
    const session = await runtime.ort.InferenceSession.create(bytes, options);
    this.#timing.session_creation_ns = durationNs(started, performance.now());
    this.#session = session;
    // One that fails to start makes the creation fail: it is asked for without an alternative.
    const { providers } = this.#request;
    const others = providers.map(({ name }) => name).filter((name) => name !== runtimeNames.wasm);
    this.#result.registered_providers = [...others, runtimeNames.wasm];
    checkOutputs(session);
    return session;
  }

  // ------------------------------------------------------------------------------ runs

  async #runAsAsked(
    session: InferenceSession,
    run: () => Promise<InferenceSession.ReturnType>,
  ): Promise<void> {
    await this.#enter("first_run");
    const started = performance.now();
    const outputs = await run();
    const firstRunNs = durationNs(started, performance.now());
    this.#timing.first_run_ns = firstRunNs;
    await this.#readMemory("first_run");
    switch (this.#request.purpose) {
      case "parity":
        await this.#enter("read_output");
        this.#result.outputs = await writeOutputs(session.outputNames, outputs, this.#driver);
        break;
      case "latency":
        await this.#measureLatency(run, firstRunNs);
        break;
      case "memory":
        await this.#measureMemory(run);
        break;
      case "profile":
        await this.#profile(session, run);
        break;
      case "cold_start":
        break;
    }
  }

  async #measureLatency(run: Run, firstRunNs: number): Promise<void> {
    await this.#enter("warm_up");
    this.#timing.warm_up_converged = false;
    const { warm_up: rule, stop } = this.#request;
    const warmed = await this.#keeping("warm_up_ns", () =>
      warmUp(run, rule, firstRunNs, this.#deadlineMs),
    );
    this.#timing.warm_up_converged = warmed.converged;
    await this.#enter("measure");
    const measured = await this.#keeping("measured_ns", () =>
      measureRuns(run, stop, warmed.expectedNs, this.#deadlineMs),
    );
    this.#timing.stop_reason = measured.reason;
  }

  /** Keeps the durations, also those that were made when the deadline passed. */
  async #keeping<T extends { readonly durations: number[] }>(
    field: "warm_up_ns" | "measured_ns",
    work: () => Promise<T>,
  ): Promise<T> {
    try {
      const done = await work();
      this.#timing[field] = done.durations;
      return done;
    } catch (error) {
      if (error instanceof DeadlineReached) this.#timing[field] = [...error.durations];
      throw error;
    }
  }

  async #measureMemory(run: Run): Promise<void> {
    await this.#enter("measure");
    const { measured_runs: runs, warm_up: rule } = this.#request;
    const warm = Math.min(rule.window_min_runs, runs);
    await this.#countRuns(run, warm);
    await this.#readMemory("warm");
    await this.#countRuns(run, runs - warm);
    await this.#readMemory("end");
  }

  async #profile(session: InferenceSession, run: Run): Promise<void> {
    await this.#enter("measure");
    await this.#countRuns(run, this.#request.measured_runs - 1);
    await this.#enter("read_output");
    const profile = await takeProfile(session);
    await this.#driver.write(profileName, new TextEncoder().encode(profile));
    this.#result.profile_path = profileName;
  }

  async #countRuns(run: Run, count: number): Promise<void> {
    const durations = (this.#timing.measured_ns ??= []);
    for (let made = 0; made < count; made += 1) {
      const started = performance.now();
      await run();
      durations.push(durationNs(started, performance.now()));
      this.#checkDeadline();
    }
  }

  async #close(session: InferenceSession): Promise<void> {
    const started = performance.now();
    await session.release();
    this.#timing.close_ns = durationNs(started, performance.now());
    this.#session = null;
    if (this.#request.purpose !== "memory") return;
    const leftMs = this.#deadlineMs - performance.now();
    const settleMs = Math.max(0, Math.min(this.#request.settle_ns / 1e6, leftMs));
    await new Promise((resolve) => setTimeout(resolve, settleMs));
    await this.#readMemory("closed");
  }
}

/** Returns how many threads are asked for; the runtime's own choice is written as 0 or null. */
function threadsOf({ session }: BlockRequest): number | null {
  return session.intra_op_num_threads === 0 ? null : session.intra_op_num_threads;
}

function emptyResult(
  id: string,
  providers: BlockRequest["providers"],
  stepNs: number,
): BlockResult {
  return {
    schema: "ortlab.block_result/1",
    block_id: id,
    failure: null,
    runtime: null,
    requested_providers: providers,
    registered_providers: [],
    clock: { name: clockName, resolution_ns: stepNs },
    timing: {},
    memory: [],
    conditions_before: null,
    conditions_after: null,
    outputs: [],
    profile_path: null,
  };
}
