import type { ModelDescriptor } from "./descriptors";
import { SdkError } from "./errors";
import { fetchBytes } from "./session";
import { decodeTensor } from "./tensor_files";
import type { Tensor } from "./tensors";

/**
 * Reads the inputs that a model is packaged with.
 *
 * @returns One tensor for each input, in the descriptor's order.
 * @throws SdkError `model-not-found`: a file cannot be fetched, or there is none;
 *   `invalid-elements`: it holds something else.
 */
export async function loadSample(model: ModelDescriptor): Promise<Tensor[]> {
  return Promise.all(
    model.inputs.map(async ({ name }) => {
      const part = model.sample.find((tensor) => tensor.name === name);
      if (part === undefined) {
        throw new SdkError("model-not-found", `The app carries no sample of the input '${name}'`);
      }
      const bytes = await fetchBytes(part.url, "the sample");
      return decodeTensor(part.elementType, part.shape, bytes);
    }),
  );
}
