// Made by ortlab. DO NOT EDIT: `ortlab generate` writes this file anew.
import * as ort from "onnxruntime-web/wasm";
import wasmUrl from "onnxruntime-web/ort-wasm-simd-threaded.wasm?url";

import type { Runtime } from "../sdk/runtime";

/** The one build of ONNX Runtime that this app ships, and the providers that it was chosen for. */
export const runtime: Runtime = {
  ort,
  wasmUrl,
  providers: ["wasm"],
};
