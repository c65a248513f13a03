import type { ModelDescriptor, ModelStyle, ProviderName, SessionReport, Tensor } from "../sdk/index";
import { loadSample, ModelSession, zeros } from "../sdk/index";

/** What a user chose. */
export interface Setting {
  readonly model: ModelDescriptor;
  /** Undefined takes the one that the app recommends. */
  readonly style: ModelStyle | undefined;
  /** Undefined takes those that the app was made for. */
  readonly provider: ProviderName | undefined;
}

/** What a run gave. */
export interface Outcome {
  readonly outputs: readonly Tensor[];
  /** Of each run, in order, in milliseconds. */
  readonly durationsMs: readonly number[];
}

/** Holds the model that is tried, one at a time. */
export class Tester {
  #setting: Setting;
  #session: ModelSession | null = null;

  constructor(setting: Setting) {
    this.#setting = setting;
  }

  get setting(): Setting {
    return this.#setting;
  }

  /** What is loaded; null before the first run. */
  get report(): SessionReport | null {
    return this.#session?.report ?? null;
  }

  /** Takes other choices; the model is loaded anew at the next run. */
  async choose(setting: Setting): Promise<void> {
    this.#setting = setting;
    const session = this.#session;
    this.#session = null;
    await session?.close();
  }

  /** Runs the model some times on the same inputs. */
  async run(inputs: readonly Tensor[], count: number): Promise<Outcome> {
    const session = (this.#session ??= await this.#open());
    const durationsMs: number[] = [];
    let outputs: readonly Tensor[] = [];
    for (let run = 0; run < count; run += 1) {
      const started = performance.now();
      outputs = await session.run(inputs);
      durationsMs.push(performance.now() - started);
    }
    return { outputs, durationsMs };
  }

  #open(): Promise<ModelSession> {
    const { model, style, provider } = this.#setting;
    return ModelSession.create(model, {
      ...(style === undefined ? {} : { style }),
      ...(provider === undefined ? {} : { providers: [provider] }),
    });
  }
}

/** Returns the packaged inputs, or zeros of the smallest shapes where there are none. */
export async function firstInputs(model: ModelDescriptor): Promise<Tensor[]> {
  if (model.sample.length > 0) return loadSample(model);
  const sizes = new Map(model.states.flatMap((state) => state.dimensions));
  return model.inputs.map(({ elementType, shape }) => {
    const known = (shape ?? []).map((dimension) =>
      typeof dimension === "string" ? (sizes.get(dimension) ?? 1) : (dimension ?? 1),
    );
    return zeros(elementType, known);
  });
}

/** Returns the median of numbers that there are. */
export function median(values: readonly number[]): number {
  const ordered = [...values].sort((a, b) => a - b);
  const middle = ordered.length >> 1;
  const upper = ordered[middle] ?? NaN;
  return ordered.length % 2 === 1 ? upper : ((ordered[middle - 1] ?? NaN) + upper) / 2;
}
