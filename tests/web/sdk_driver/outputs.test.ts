import { mkdirSync, writeFileSync } from "node:fs";

import { describe, expect, test } from "vitest";

import { models } from "../src/generated/models";
import { loadSample, ModelSession } from "../src/sdk/index";
import { encodeTensor } from "../src/sdk/tensor_files";

const target = process.env["ORTLAB_OUTPUTS"] ?? "outputs";
mkdirSync(target, { recursive: true });

describe("every model answers its sample", () => {
  let number = 0;
  test.each(models.filter((model) => model.sample.length > 0))("$name", async (model) => {
    const styles = [...new Set(model.variants.map((variant) => variant.style))];
    for (const style of styles) {
      const session = await ModelSession.create(model, { style, threads: 1 });
      const outputs = await session.run(await loadSample(model));
      expect(outputs).toHaveLength(model.outputs.length);
      const told = outputs.map((output, index) => {
        const file = `${(number += 1)}.bin`;
        writeFileSync(`${target}/${file}`, encodeTensor(output));
        return { name: model.outputs[index]?.name, type: output.type, shape: output.shape, file };
      });
      const entry = { model: model.name, style, outputs: told };
      writeFileSync(`${target}/${number}.json`, JSON.stringify(entry));
      await session.close();
    }
  });
});
