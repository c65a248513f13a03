import type { StateDescriptor } from "../descriptors";
import { SdkError } from "../errors";
import { zeros } from "../tensors";
import type { Tensor } from "../tensors";

/** What a session hands from one run to the next. */
export class CarriedStates {
  readonly #states: readonly StateDescriptor[];
  #tensors: readonly Tensor[];

  constructor(states: readonly StateDescriptor[]) {
    this.#states = states;
    this.#tensors = start(states);
  }

  get inputNames(): string[] {
    return this.#states.map((state) => state.inputName);
  }

  get outputNames(): string[] {
    return this.#states.map((state) => state.outputName);
  }

  /** What the next run takes. */
  get tensors(): readonly Tensor[] {
    return this.#tensors;
  }

  /**
   * Takes what a run gave.
   *
   * @throws SdkError `run-failed`: it has another type or shape; then nothing changes.
   */
  replace(tensors: readonly Tensor[]): void {
    this.#states.forEach((state, index) => {
      const given = tensors[index];
      const shape = given?.shape.join(", ");
      if (given?.type !== state.elementType || shape !== state.shape.join(", ")) {
        const found = `${given?.type ?? "nothing"}[${shape ?? ""}]`;
        const message = `The state '${state.outputName}' became ${found}, which no run can take`;
        throw new SdkError("run-failed", message);
      }
    });
    this.#tensors = tensors;
  }

  /** Makes them zeros again. */
  reset(): void {
    this.#tensors = start(this.#states);
  }
}

function start(states: readonly StateDescriptor[]): Tensor[] {
  return states.map((state) => zeros(state.elementType, state.shape));
}
