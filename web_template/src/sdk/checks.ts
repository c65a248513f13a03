import { described } from "./descriptors";
import type { ModelDescriptor, TensorDescriptor } from "./descriptors";
import { SdkError } from "./errors";
import { checkData } from "./tensors";
import type { Tensor } from "./tensors";

/**
 * Checks that tensors are what a model takes, before the runtime sees them.
 *
 * @param tensors One for each input, in the descriptor's order.
 * @throws SdkError `invalid-inputs`, `type-mismatch`, `shape-mismatch` or `invalid-elements`.
 */
export function checkInputs(model: ModelDescriptor, tensors: readonly Tensor[]): void {
  if (tensors.length !== model.inputs.length) {
    const message = `The model ${model.name} takes ${model.inputs.length} inputs, not ${tensors.length}`;
    throw new SdkError("invalid-inputs", message);
  }
  const sizes = new Map(model.states.flatMap((state) => state.dimensions));
  model.inputs.forEach((input, index) => {
    const given = tensors[index];
    if (given === undefined) {
      throw new SdkError("invalid-inputs", `The input '${input.name}' is missing`);
    }
    checkInput(input, given, sizes);
  });
}

function checkInput(input: TensorDescriptor, given: Tensor, sizes: Map<string, number>): void {
  const what = `the input '${input.name}'`;
  if (given.type !== input.elementType) {
    const message = `${capital(what)} is ${described(input)}, not ${given.type}`;
    throw new SdkError("type-mismatch", message);
  }
  checkData(given, what);
  if (input.shape === null) return;
  const refusal = (why: string): SdkError =>
    new SdkError(
      "shape-mismatch",
      `${capital(what)} is ${described(input)}, not [${given.shape.join(", ")}]${why}`,
    );
  if (given.shape.length !== input.shape.length) throw refusal("");
  input.shape.forEach((wanted, at) => {
    const size = given.shape[at] ?? 0;
    if (typeof wanted === "string") {
      const before = sizes.get(wanted);
      if (before === undefined) sizes.set(wanted, size);
      else if (before !== size) throw refusal(`: '${wanted}' is ${before} elsewhere`);
    } else if (wanted !== null && wanted !== size) {
      throw refusal("");
    }
  });
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
