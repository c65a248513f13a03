import { expect, it } from "vitest";

import { fromHalf, toHalf } from "../src/sdk/half";

it("is the same there and back, for every number there is", () => {
  for (let bits = 0; bits < 0x10000; bits += 1) {
    const isNaN = (bits & 0x7c00) === 0x7c00 && (bits & 0x3ff) !== 0;
    const value = fromHalf(bits);
    if (isNaN) expect(value).toBeNaN();
    else if (toHalf(value) !== bits) expect.fail(`${bits.toString(16)} became ${value}`);
  }
});

it.each([
  [1 + 2 ** -11, 0x3c00], // a tie: to even
  [1 + 3 * 2 ** -11, 0x3c02],
  [65504, 0x7bff],
  [65519.99, 0x7bff],
  [65520, 0x7c00],
  [1e30, 0x7c00],
  [2 ** -25, 0x0000],
  [2 ** -25 * 1.001, 0x0001],
  [-(2 ** -24) * 1.5, 0x8002],
  [2 ** -14 - 2 ** -25, 0x0400],
  [NaN, 0x7e00],
])("rounds %d to even", (value, bits) => {
  expect(toHalf(value)).toBe(bits);
});
