import { mkdirSync, writeFileSync } from "node:fs";

import { expect, test } from "vitest";

import { AllTypes, Counter, Digits, NoShape, Nonzero, Product, Scalars } from "../src/generated/models";
import type { ProductInput, ProductOutput } from "../src/generated/models";
import { SdkError, tensor } from "../src/sdk/index";
import type { ClassLabel, Picture, Tensor } from "../src/sdk/index";

const target = process.env["ORTLAB_OUTPUTS"] ?? "outputs";
mkdirSync(target, { recursive: true });
const options = { threads: 1 };

async function refusal(action: Promise<unknown>): Promise<string> {
  try {
    await action;
  } catch (error) {
    if (error instanceof SdkError) return error.code;
    throw error;
  }
  return "nothing";
}

test("a state is carried through a hundred runs, and forgotten when asked", async () => {
  const counter = await Counter.create(options);
  const input = Counter.allocate();
  expect(input.x.shape).toEqual([2, 4]);
  const answers: number[] = [];
  for (let step = 0; step < 100; step += 1) {
    input.x.data.forEach((_, index) => (input.x.data[index] = (index - 3) * 0.125 * (step % 5)));
    answers.push((await counter.run(input)).y.data[0] ?? NaN);
  }
  counter.reset();
  input.x.data.fill(0);
  answers.push((await counter.run(input)).y.data[0] ?? NaN);
  writeFileSync(`${target}/steps.txt`, answers.join(" "));
  await counter.close();
  expect(counter.isClosed).toBe(true);
  expect(await refusal(counter.run(input))).toBe("closed");
});

test("symbolic sizes are parameters, and what contradicts itself never reaches the runtime", async () => {
  const product = await Product.create(options);
  const input: ProductInput = Product.allocate({ rows: 3, inner: 2 });
  input.left.data.fill(1);
  input.right.data.fill(2);
  input.bias.data.set([0, 1, 2, 3]);
  const output: ProductOutput = await product.run(input);
  expect(output.sum.shape).toEqual([3, 4]);
  expect(Array.from(output.sum.data.slice(0, 4))).toEqual([4, 5, 6, 7]);
  expect(output.total.shape).toEqual([]);
  const wrong = { ...input, right: Product.allocate({ rows: 3, inner: 5 }).right };
  expect(await refusal(product.run(wrong))).toBe("shape-mismatch");
  const short: Tensor<"float"> = { type: "float", shape: [4], data: new Float32Array(3) };
  expect(await refusal(product.run({ ...input, bias: short }))).toBe("shape-mismatch");
  const other = tensor("double", [4], new Float64Array(4)) as unknown as Tensor<"float">;
  expect(await refusal(product.run({ ...input, bias: other }))).toBe("type-mismatch");
  const missing = { left: input.left, right: input.right } as ProductInput;
  expect(await refusal(product.run(missing))).toBe("invalid-inputs");
  expect(() => Product.allocate({ rows: -1, inner: 2 })).toThrow(SdkError);
  const both = await Promise.allSettled([product.run(input), product.run(input)]);
  expect(both.map((item) => item.status)).toEqual(["fulfilled", "rejected"]);
  await product.close();
  await product.close();
});

test("a shape of any rank is a parameter, too", async () => {
  const model = await NoShape.create(options);
  const input = NoShape.allocate({ xShape: [2, 1, 3] });
  input.x.data.fill(2);
  const { y } = await model.run(input);
  expect([y.shape, Array.from(y.data)]).toEqual([[2, 1, 3], [-2, -2, -2, -2, -2, -2]]);
  await model.close();
});

test("scalars and texts go in and come out", async () => {
  const model = await Scalars.create(options);
  const input = Scalars.allocate();
  input.a.data[0] = 9_007_199_254_740_993n;
  input.b.data[0] = 2n;
  input.text.data[0] = "π </script> 😀";
  const output = await model.run(input);
  expect(output.sum.data[0]).toBe(9_007_199_254_740_995n);
  expect(output.less.data[0]).toBe(0);
  expect(output.same.data[0]).toBe("π </script> 😀");
  await model.close();
});

test("an output's size may depend on the numbers", async () => {
  const model = await Nonzero.create(options);
  const input = Nonzero.allocate();
  input.x.data[3] = 1;
  expect((await model.run(input)).y.shape).toEqual([2, 1]);
  await model.close();
});

test("empty tensors are tensors", async () => {
  const model = await AllTypes.create(options);
  const output = await model.run(AllTypes.allocate({ ...sizes(), n: 0 }));
  expect(output.floatOut.shape).toEqual([0, 2]);
  expect(output.stringOut.data).toEqual([]);
  await model.close();
});

function sizes(): Parameters<typeof AllTypes.allocate>[0] {
  const names = ["float", "double", "float16", "int8", "int16", "int32", "int64", "uint8", "bool"];
  const all = [...names, "string"].map((name) => [`${name}InSize1`, 2]);
  return Object.fromEntries(all) as Parameters<typeof AllTypes.allocate>[0];
}

test("a picture becomes an input, and scores become labels", async () => {
  const digits = await Digits.create(options);
  const data = new Uint8ClampedArray(16 * 12 * 4).fill(200);
  const picture: Picture = { width: 16, height: 12, data };
  const direct = await digits.runPicture(picture);
  const output = await digits.run({ picture: Digits.pictureTensor(picture) });
  expect(Array.from(direct.scores.data)).toEqual(Array.from(output.scores.data));
  const labels: ClassLabel[] = Digits.labels(output);
  expect(labels).toHaveLength(2);
  expect(["zero", 'o"n$e', "two */", "three\u202e"]).toContain(labels[0]?.label);
  await digits.close();
});
