import { describe, expect, it } from "vitest";

import { bestLabels } from "../src/sdk/kinds/classification";
import { pictureTensor } from "../src/sdk/kinds/image";
import type { ChannelType, ImageFormat } from "../src/sdk/kinds/image";
import { oriented } from "../src/sdk/kinds/picture";
import type { Picture } from "../src/sdk/kinds/picture";
import { ModelSession } from "../src/sdk/session";
import { encodeTensor } from "../src/sdk/tensor_files";
import { tensor } from "../src/sdk/tensors";
import type { Tensor } from "../src/sdk/tensors";
import { hasVectors, sdkFile, sdkJson, sdkUrl } from "./vectors";

interface ImageCase {
  readonly picture: string;
  readonly layout: ImageFormat["layout"];
  readonly color_order: ImageFormat["colorOrder"];
  readonly element_type: ChannelType;
  readonly scale: number;
  readonly mean: number[];
  readonly std: number[];
  readonly resize: ImageFormat["resize"];
  readonly padding: number;
  readonly antialias: boolean;
  readonly width: number;
  readonly height: number;
  readonly tensor: string;
}

interface OrientationCase {
  readonly picture: string;
  readonly orientation: number;
  readonly width: number;
  readonly height: number;
  readonly rgba: string;
}

interface ClassificationCase {
  readonly scores: (number | string)[];
  readonly top_k: number;
  readonly apply_softmax: boolean;
  readonly indices: number[];
  readonly confidences: (number | string)[];
}

interface StateVectors {
  readonly model: string;
  readonly input: string;
  readonly output: string;
  readonly steps: { readonly reset: boolean; readonly x: number[]; readonly y: number[] }[];
}

const cases = <T>(name: string): T[] => (hasVectors ? sdkJson<T[]>(name) : []);
const numbered = <T>(list: T[]): (readonly [number, T])[] => list.map((item, at) => [at, item]);

function picture(name: string): Picture {
  const sizes = sdkJson<Record<string, { width: number; height: number }>>("pictures.json");
  const size = sizes[name];
  if (size === undefined) throw new Error(`there is no picture ${name}`);
  return { ...size, data: Uint8Array.from(sdkFile(`pictures/${name}.rgba`)) };
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");

describe.skipIf(!hasVectors)("a picture", () => {
  it.each(numbered(cases<ImageCase>("image.json")))("becomes the tensor of vector %d", (_, v) => {
    const format: ImageFormat = {
      kind: "image",
      width: v.width,
      height: v.height,
      layout: v.layout,
      colorOrder: v.color_order,
      channelType: v.element_type,
      scale: v.scale,
      mean: v.mean,
      std: v.std,
      resize: v.resize,
      padding: v.padding,
      antialias: v.antialias,
    };
    const made: Tensor = pictureTensor(picture(v.picture), format, v.element_type);
    const channels = v.color_order === "gray" ? 1 : 3;
    expect(made.shape).toEqual(
      v.layout === "nchw" ? [1, channels, v.height, v.width] : [1, v.height, v.width, channels],
    );
    expect(base64(encodeTensor(made))).toBe(v.tensor);
  });

  it.each(numbered(cases<OrientationCase>("orientation.json")))(
    "is turned as in vector %d",
    (_, vector) => {
      const { width, height, data } = oriented(picture(vector.picture), vector.orientation);
      expect([width, height]).toEqual([vector.width, vector.height]);
      expect(base64(Uint8Array.from(data))).toBe(vector.rgba);
    },
  );
});

describe.skipIf(!hasVectors)("a classification", () => {
  it.each(numbered(cases<ClassificationCase>("classification.json")))(
    "answers as in vector %d",
    (_, vector) => {
      const scores = Float32Array.from(vector.scores, Number);
      const best = bestLabels(tensor("float", [1, scores.length], scores), {
        kind: "classification",
        labels: Array.from(scores, (_score, index) => `class ${index}`),
        topK: vector.top_k,
        applySoftmax: vector.apply_softmax,
      });
      expect(best.map(({ index }) => index)).toEqual(vector.indices);
      expect(best.map(({ label }) => label)).toEqual(vector.indices.map((at) => `class ${at}`));
      best.forEach(({ confidence }, at) => {
        const expected = Number(vector.confidences[at]);
        const isSame = Object.is(confidence, expected) || confidence === expected;
        const difference = Math.abs(confidence - expected);
        expect(isSame || difference <= 2e-7 * Math.abs(expected)).toBe(true);
      });
    },
  );

  it("reads half precision", () => {
    const halves = tensor("float16", [2], Uint16Array.of(0x3400, 0x3a00));
    const labels = ["quarter", "three quarters"];
    const best = bestLabels(halves, { kind: "classification", labels, topK: 1, applySoftmax: false });
    expect(best).toEqual([{ index: 1, label: "three quarters", confidence: 0.75 }]);
  });

  it("refuses scores that its labels do not name", () => {
    const scores = tensor("float", [3], new Float32Array(3));
    const classification = { kind: "classification", labels: ["a"], topK: 1, applySoftmax: false } as const;
    expect(() => bestLabels(scores, classification)).toThrow("1 labels for 3 scores");
  });
});

describe.skipIf(!hasVectors)("a state", () => {
  it("is carried from run to run as in the vectors", async () => {
    const { model, input, output, steps } = sdkJson<StateVectors>("state.json");
    const size = steps[0]?.x.length ?? 0;
    const numbers = (name: string) =>
      ({ name, identifier: name, elementType: "float", shape: [1, size] }) as const;
    const session = await ModelSession.create({
      name: "leaky sum",
      inputs: [numbers("x")],
      outputs: [numbers("y")],
      states: [
        {
          inputName: input,
          outputName: output,
          elementType: "float",
          shape: [1, size],
          dimensions: [],
        },
      ],
      variants: [
        {
          id: "onnx",
          style: "onnx",
          target: null,
          precision: "fp32",
          url: sdkUrl(model).href,
          sha256: "",
          sizeBytes: sdkFile(model).length,
        },
      ],
      sample: [],
    });
    for (const step of steps) {
      if (step.reset) session.reset();
      const [y] = await session.run([tensor("float", [1, size], Float32Array.from(step.x))]);
      expect(Array.from(y?.data as Float32Array)).toEqual(step.y);
    }
    await session.close();
    expect(steps.length).toBeGreaterThan(5);
  });
});
