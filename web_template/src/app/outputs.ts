import type { ClassLabel, ModelDescriptor, Tensor, TensorDescriptor } from "../sdk/index";
import { bestLabels, described, fromHalf } from "../sdk/index";
import { element, terms } from "./dom";
import { firstElements } from "./inputs";
import { number, percent } from "./words";

/** Shows what a run gave. */
export function outputsSection(model: ModelDescriptor, outputs: readonly Tensor[]): HTMLElement {
  const title = model.outputs.length === 1 ? "Output" : "Outputs";
  return element(
    "section",
    { "aria-labelledby": "outputs-title" },
    element("h2", { id: "outputs-title" }, title),
    ...model.outputs.map((output, index) => outputArticle(output, outputs[index])),
  );
}

function outputArticle(output: TensorDescriptor, tensor: Tensor | undefined): HTMLElement {
  const name = element("h3", {}, output.name, " ", element("code", {}, described(output)));
  if (tensor === undefined) return element("article", {}, name, element("p", {}, "none"));
  if (output.kind?.kind === "classification") {
    const labels = bestLabels(tensor, output.kind);
    const isShare = labels.every(({ confidence }) => confidence >= 0 && confidence <= 1);
    const rows = labels.map((label) => classRow(label, isShare));
    return element("article", {}, name, element("ol", { class: "classes", role: "list" }, ...rows));
  }
  return element("article", {}, name, summary(tensor));
}

function classRow({ label, confidence }: ClassLabel, isShare: boolean): HTMLElement {
  const score = element("span", { class: "score" }, isShare ? percent(confidence) : number(confidence));
  const row = element("li", {}, element("span", {}, label), score);
  if (isShare) {
    const bar = element("span", { class: "bar", "aria-hidden": "true" });
    bar.style.width = percent(confidence).replace(" ", "");
    row.append(bar);
  }
  return row;
}

function summary(tensor: Tensor): HTMLElement {
  const facts: (readonly [string, string])[] = [
    ["Shape", `[${tensor.shape.join(", ")}]`],
    ["Elements", firstElements(readable(tensor))],
  ];
  const range = rangeOf(tensor);
  if (range !== null) facts.push(["Smallest, largest", range]);
  return terms(facts);
}

function readable(tensor: Tensor): Tensor {
  if (tensor.type !== "float16") return tensor;
  const data = Float32Array.from(tensor.data as Uint16Array, fromHalf);
  return { type: "float", shape: tensor.shape, data };
}

function rangeOf(tensor: Tensor): string | null {
  const { type, data } = readable(tensor);
  if (type === "string" || type === "bool" || data.length === 0) return null;
  let [smallest, largest] = [Infinity, -Infinity];
  for (const value of data) {
    const element = Number(value);
    if (element < smallest) smallest = element;
    if (element > largest) largest = element;
  }
  return `${number(smallest)}, ${number(largest)}`;
}
