import { mkdirSync, readFileSync, writeFileSync } from "node:fs";

import { test } from "vitest";

import { Direction, Magika, Mixed, Sums } from "../src/generated/models";
import type { ClassLabel } from "../src/sdk/index";

// Runs generated classes as a page does. What a caller gives lies beside the project.
const given = new URL("../../", import.meta.url);
const target = process.env["ORTLAB_OUTPUTS"] ?? "outputs";
mkdirSync(target, { recursive: true });

const steps = 100;
const resetAt = 60;

function say(name: string, answer: unknown): void {
  writeFileSync(`${target}/${name}.json`, JSON.stringify(answer));
}

test("a photo's direction", async () => {
  const model = await Direction.create();
  const sizes = JSON.parse(readFileSync(new URL("pictures.json", given), "utf8")) as Record<
    string,
    { width: number; height: number }
  >;
  const answers: Record<string, ClassLabel[]> = {};
  for (const [name, size] of Object.entries(sizes)) {
    const data = new Uint8Array(readFileSync(new URL(`pictures/${name}.rgba`, given)));
    answers[name] = Direction.labels(await model.runPicture({ ...size, data }));
  }
  await model.close();
  say("directions", answers);
});

test("one input is a picture, another numbers; two outputs have labels, one thousands", async () => {
  const model = await Mixed.create();
  const pixels = Array.from({ length: 6 }, (_, index) => index * 1_234_567).flatMap((color) => [
    (color >> 16) & 255,
    (color >> 8) & 255,
    color & 255,
    255,
  ]);
  const photo = Mixed.photoTensor({ width: 2, height: 3, data: Uint8Array.from(pixels) });
  const { bias } = Mixed.allocate();
  bias.data.set([0.5, -1, 2]);
  const output = await model.run({ photo, bias });
  await model.close();
  say("mixed", { few: Mixed.fewLabels(output), many: Mixed.manyLabels(output) });
});

test("a state is carried from run to run until it is reset", async () => {
  const model = await Sums.create();
  const input = Sums.allocate();
  const answers: number[][] = [];
  for (let step = 0; step < steps; step += 1) {
    if (step === resetAt) model.reset();
    input.x.data.set(Array.from({ length: 6 }, (_, index) => (step - 7 * index) / 64));
    answers.push(Array.from((await model.run(input)).y.data));
  }
  await model.close();
  say("sums", answers);
});

test("what a file holds", async () => {
  const model = await Magika.create();
  const files = JSON.parse(readFileSync(new URL("files.json", given), "utf8")) as number[][];
  const input = Magika.allocate({ unk214: files.length });
  input.bytes.data.set(files.flat());
  const { targetLabel } = await model.run(input);
  await model.close();
  say("magika", { shape: targetLabel.shape, scores: Array.from(targetLabel.data) });
});
