import { describe, expect, it } from "vitest";

import type { Dimension, ModelDescriptor, TensorDescriptor } from "../src/sdk/index";
import { loadSample, ModelSession, outputOf, SdkError, tensor, zeros } from "../src/sdk/index";
import type { ElementType, SdkErrorCode, Tensor } from "../src/sdk/index";
import { identityModel } from "./models";

function dataUrl(bytes: Uint8Array): string {
  return `data:application/octet-stream;base64,${Buffer.from(bytes).toString("base64")}`;
}

function described(
  type: ElementType,
  shape: readonly Dimension[] | null,
  changes: Partial<ModelDescriptor> = {},
): ModelDescriptor {
  const model = identityModel(type);
  const named = (name: string): TensorDescriptor => ({
    name,
    identifier: name,
    elementType: type,
    shape,
  });
  return {
    name: "identity",
    inputs: [named("x")],
    outputs: [named("y")],
    states: [],
    variants: [
      {
        id: "onnx",
        style: "onnx",
        target: null,
        precision: "fp32",
        url: dataUrl(model),
        sha256: "",
        sizeBytes: model.length,
      },
    ],
    sample: [],
    ...changes,
  };
}

const withCode = (code: SdkErrorCode): unknown => expect.objectContaining({ name: "SdkError", code });

async function opened(type: ElementType, shape: readonly Dimension[] | null): Promise<ModelSession> {
  return ModelSession.create(described(type, shape));
}

describe("a session", () => {
  it("gives what the model gives, in new tensors", async () => {
    const session = await opened("int64", ["n", 2]);
    const given = tensor("int64", [1, 2], BigInt64Array.of(-(2n ** 63n), 7n));
    const outputs = await session.run([given]);
    const output = outputOf(outputs, 0, "int64");
    expect(output).toEqual(given);
    expect(output.data).not.toBe(given.data);
    expect(() => outputOf(outputs, 0, "float")).toThrow("int64 instead of float");
    expect(() => outputOf(outputs, 1, "int64")).toThrow("nothing instead of int64");
    expect(session.report).toMatchObject({
      variant: { id: "onnx" },
      providers: { registered: ["wasm"] },
      runtimeVersion: expect.stringMatching(/^\d+\.\d+\.\d+$/) as unknown,
    });
    await session.close();
  });

  it("keeps the bits of half precision", async () => {
    const session = await opened("float16", null);
    const bits = Uint16Array.of(0x0001, 0x8000, 0x7bff, 0x7c00, 0x3555);
    const outputs = await session.run([tensor("float16", [5], bits)]);
    expect(outputOf(outputs, 0, "float16").data).toEqual(bits);
    await session.close();
  });

  it.each<[string, ElementType, readonly Dimension[], readonly Tensor[], SdkErrorCode]>([
    ["no tensor", "float", [2], [], "invalid-inputs"],
    ["too many tensors", "float", [2], [zeros("float", [2]), zeros("float", [2])], "invalid-inputs"],
    ["another type", "float", [2], [zeros("double", [2])], "type-mismatch"],
    ["another rank", "float", [2], [zeros("float", [2, 1])], "shape-mismatch"],
    ["another size", "float", [2], [zeros("float", [3])], "shape-mismatch"],
    ["a size that contradicts itself", "float", ["n", "n"], [zeros("float", [2, 3])], "shape-mismatch"],
    ["too few elements", "float", ["n"], [{ type: "float", shape: [3], data: new Float32Array(2) }], "shape-mismatch"],
    ["a negative size", "float", ["n"], [{ type: "float", shape: [-1], data: new Float32Array(0) }], "shape-mismatch"],
    ["another array", "float", [1], [{ type: "float", shape: [1], data: [0] } as unknown as Tensor], "type-mismatch"],
    ["a bool of 2", "bool", [1], [{ type: "bool", shape: [1], data: Uint8Array.of(2) }], "invalid-elements"],
    ["a text that would be cut", "string", [1], [{ type: "string", shape: [1], data: ["a\0b"] }], "invalid-elements"],
    ["half a character", "string", [1], [{ type: "string", shape: [1], data: ["\ud83c"] }], "invalid-elements"],
  ])("refuses %s before the runtime sees it", async (_, type, shape, tensors, code) => {
    const session = await opened(type, shape);
    await expect(session.run(tensors)).rejects.toEqual(withCode(code));
    await session.close();
  });

  it("serves one run at a time, and none after it was closed", async () => {
    const session = await opened("float", [2]);
    const given = [tensor("float", [2], Float32Array.of(1, 2))];
    const running = session.run(given);
    await expect(session.run(given)).rejects.toEqual(withCode("busy"));
    expect(() => {
      session.reset();
    }).toThrow("one run at a time");
    const closing = session.close();
    expect(session.isClosed).toBe(true);
    expect((await running)[0]?.data).toEqual(Float32Array.of(1, 2));
    await closing;
    await session.close();
    await expect(session.run(given)).rejects.toEqual(withCode("closed"));
  });

  it("can be used after a run that was refused", async () => {
    const session = await opened("float", [1]);
    await expect(session.run([])).rejects.toBeInstanceOf(SdkError);
    await expect(session.run([zeros("float", [1])])).resolves.toHaveLength(1);
    await session.close();
  });
});

describe("opening a model", () => {
  const variant = described("float", [1]).variants[0];
  const changed = (changes: object): Partial<ModelDescriptor> => ({
    variants: variant ? [{ ...variant, ...changes }] : [],
  });

  it.each<[string, Partial<ModelDescriptor>, SdkErrorCode]>([
    ["a file that is not there", changed({ url: "file:///nowhere/m.onnx" }), "model-not-found"],
    ["a file of another size", changed({ sizeBytes: 3 }), "model-load-failed"],
    [
      "a file that is no model",
      changed({ url: dataUrl(Uint8Array.of(1, 2, 3)), sizeBytes: 3 }),
      "model-load-failed",
    ],
    ["a model with other inputs", { inputs: [] }, "model-load-failed"],
    ["a model without files", { variants: [] }, "invalid-options"],
  ])("refuses %s", async (_, changes, code) => {
    const model = described("float", [1], changes);
    await expect(ModelSession.create(model)).rejects.toEqual(withCode(code));
  });

  it.each<[string, object, SdkErrorCode]>([
    ["a style that is not packaged", { style: "fixed" }, "invalid-options"],
    ["half a thread", { threads: 0.5 }, "invalid-options"],
    ["a provider twice", { providers: ["wasm", { name: "wasm" }] }, "invalid-options"],
    ["a provider that is not shipped", { providers: ["webgpu"] }, "provider-unavailable"],
    [
      "an entry that the SDK sets",
      { configEntries: { "session.enable_saved_runtime_optimizations": "1" } },
      "invalid-options",
    ],
  ])("refuses %s", async (_, options, code) => {
    const model = described("float", [1]);
    await expect(ModelSession.create(model, options)).rejects.toEqual(withCode(code));
  });

  it("leaves out providers that are missing where that is allowed", async () => {
    const options = { providers: ["webgpu", "wasm"], allowsMissingProviders: true } as const;
    const session = await ModelSession.create(described("float", [1]), options);
    expect(session.report.providers).toEqual({
      requested: ["webgpu", "wasm"],
      registered: ["wasm"],
      missing: ["webgpu"],
    });
    await session.close();
  });

  it("can be given up", async () => {
    const signal = AbortSignal.abort();
    const creating = ModelSession.create(described("float", [1]), { signal });
    await expect(creating).rejects.toEqual(withCode("model-not-found"));
  });
});

describe("a sample", () => {
  it("is read from its file", async () => {
    const bytes = new Uint8Array(Float32Array.of(1.5, -2).buffer);
    const sample = [{ name: "x", elementType: "float", shape: [2], url: dataUrl(bytes) }] as const;
    const [read] = await loadSample(described("float", [2], { sample }));
    expect(read).toEqual(tensor("float", [2], Float32Array.of(1.5, -2)));
  });

  it("that is not packaged is said to be missing", async () => {
    await expect(loadSample(described("float", [2]))).rejects.toEqual(withCode("model-not-found"));
  });
});
