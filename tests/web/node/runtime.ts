import * as ort from "onnxruntime-web/wasm";

import type { Runtime } from "../sdk/runtime";

const wasm = "../../node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm";

/** The same build as in pages, with a WebAssembly that Node.js reads from the disk. */
export const runtime: Runtime = {
  ort,
  wasmUrl: new URL(wasm, import.meta.url).href.replace("file:///", "http://disk.test/"),
  providers: ["wasm"],
};
