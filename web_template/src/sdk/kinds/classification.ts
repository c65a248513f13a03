import { SdkError } from "../errors";
import { fromHalf } from "../half";
import type { Tensor } from "../tensors";

/** How an output's scores are read; see the kind `classification`. */
export interface Classification {
  readonly kind: "classification";
  /** Names, one a class. */
  readonly labels: readonly string[];
  /** How many classes are answered; all if there are fewer. */
  readonly topK: number;
  /** Whether the scores are logits, which softmax makes confidences of. */
  readonly applySoftmax: boolean;
}

/** A class that a model sees. */
export interface ClassLabel {
  /** Of the class, from 0. */
  readonly index: number;
  readonly label: string;
  /** The score, or softmax of the logits. */
  readonly confidence: number;
}

/**
 * Returns the classes that scores are best for, best first.
 *
 * @throws SdkError `type-mismatch` or `shape-mismatch`: the tensor holds no scores of these labels.
 */
export function bestLabels(scores: Tensor, classification: Classification): ClassLabel[] {
  const values = scoresOf(scores);
  const { labels, topK, applySoftmax } = classification;
  if (values.length !== labels.length) {
    const message = `There are ${labels.length} labels for ${values.length} scores`;
    throw new SdkError("shape-mismatch", message);
  }
  const confidences = applySoftmax ? softmax(values) : values;
  return bestIndices(values, topK).map((index) => ({
    index,
    label: labels[index] ?? "",
    confidence: Math.fround(confidences[index] ?? NaN),
  }));
}

function scoresOf(tensor: Tensor): number[] {
  switch (tensor.type) {
    case "float":
      return Array.from(tensor.data as Float32Array);
    case "float16":
      return Array.from(tensor.data as Uint16Array, fromHalf);
    default:
      throw new SdkError("type-mismatch", `Scores are float or float16, not ${tensor.type}`);
  }
}

/** Returns `exp(x - max) / sum`, added in ascending order. */
function softmax(logits: readonly number[]): number[] {
  const largest = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const powers = logits.map((logit) => Math.exp(logit - largest));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

/** Returns indices by score: the largest first, equal ones by index, not-a-number last. */
function bestIndices(scores: readonly number[], count: number): number[] {
  const order = Array.from(scores.keys());
  const rank = (index: number): number => scores[index] ?? NaN;
  order.sort((a, b) => {
    const [left, right] = [rank(a), rank(b)];
    if (left === right) return a - b;
    if (Number.isNaN(left) || Number.isNaN(right)) {
      return Number(Number.isNaN(left)) - Number(Number.isNaN(right)) || a - b;
    }
    return right > left ? 1 : -1;
  });
  return order.slice(0, count);
}
