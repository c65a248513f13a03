import type { ModelDescriptor, Tensor, TensorDescriptor } from "../sdk/index";
import { decodePicture, described, pictureTensor } from "../sdk/index";
import { element } from "./dom";
import { drawTensor } from "./preview";
import { number } from "./words";

const mostNumbers = 6;

/** Shows a model's inputs, and lets pictures be chosen. */
export class Inputs {
  readonly section = element("section", { "aria-labelledby": "inputs-title" });
  readonly #model: ModelDescriptor;
  readonly #tensors: Tensor[];
  readonly #onChange: () => void;
  readonly #onError: (error: unknown) => void;

  constructor(
    model: ModelDescriptor,
    tensors: readonly Tensor[],
    onChange: () => void,
    onError: (error: unknown) => void,
  ) {
    this.#model = model;
    this.#tensors = [...tensors];
    this.#onChange = onChange;
    this.#onError = onError;
    this.section.append(
      element("h2", { id: "inputs-title" }, model.inputs.length === 1 ? "Input" : "Inputs"),
      ...model.inputs.map((input, index) => this.#input(input, index)),
    );
  }

  /** What the next run takes. */
  get tensors(): readonly Tensor[] {
    return this.#tensors;
  }

  #input(input: TensorDescriptor, index: number): HTMLElement {
    const name = element("h3", {}, input.name, " ", element("code", {}, described(input)));
    const tensor = this.#tensors[index];
    if (input.kind?.kind === "image" && tensor) {
      return element("article", {}, name, ...this.#picture(input, index, tensor));
    }
    return element("article", {}, name, element("p", {}, this.#summary(tensor)));
  }

  #summary(tensor: Tensor | undefined): string {
    if (tensor === undefined) return "none";
    const origin = this.#model.sample.length > 0 ? "Sample" : "Zeros";
    return `${origin} [${tensor.shape.join(", ")}]: ${firstElements(tensor)}`;
  }

  #picture(input: TensorDescriptor, index: number, tensor: Tensor): Node[] {
    const format = input.kind?.kind === "image" ? input.kind : null;
    if (format === null) return [];
    const canvas = element("canvas", {
      role: "img",
      "aria-label": `What the model sees as ${input.name}`,
    });
    drawTensor(canvas, tensor, format);
    const id = `picture-${index}`;
    const file = element("input", { id, type: "file", accept: "image/*" });
    const read = async (chosen: File): Promise<void> => {
      const made = pictureTensor(await decodePicture(chosen), format, format.channelType);
      this.#tensors[index] = made;
      drawTensor(canvas, made, format);
      this.#onChange();
    };
    file.addEventListener("change", () => {
      const chosen = file.files?.[0];
      if (chosen) read(chosen).catch(this.#onError);
    });
    const label = element("label", { for: id }, "Choose a picture");
    return [canvas, element("div", { class: "field" }, label, file)];
  }
}

/** Says the first elements of a tensor. */
export function firstElements({ type, data }: Tensor): string {
  const first: ArrayLike<number | bigint | string> = data.slice(0, mostNumbers);
  const shown = Array.from(first, (value) => {
    if (typeof value === "string") return JSON.stringify(value);
    return type === "bool" ? String(Boolean(value)) : number(value);
  });
  return shown.join(", ") + (data.length > mostNumbers ? ", …" : "");
}
