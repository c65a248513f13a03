import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { versionMajorMinor } from "typescript";
import { defineConfig } from "vitest/config";

interface AppSettings {
  readonly name: string;
  readonly version: string;
  readonly serviceWorker: boolean;
}

const app = JSON.parse(
  readFileSync(new URL("app.json", import.meta.url), "utf8"),
) as AppSettings;

/** What makes a page cross-origin isolated; threads and a fine clock need it. */
const isolation = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

export default defineConfig({
  base: "./",
  define: {
    __APP_NAME__: JSON.stringify(app.name),
    __APP_VERSION__: JSON.stringify(app.version),
    __TYPESCRIPT_VERSION__: JSON.stringify(versionMajorMinor),
  },
  server: { headers: isolation },
  preview: { headers: isolation },
  // The runtime comes as it is: bundling it anew for development would lose its files.
  optimizeDeps: { exclude: ["onnxruntime-web"] },
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: false,
    chunkSizeWarningLimit: 1024,
    rollupOptions: {
      input: {
        index: fileURLToPath(new URL("index.html", import.meta.url)),
        bench: fileURLToPath(new URL("bench.html", import.meta.url)),
      },
      output: {
        // The runtime starts its threads from its own file: nothing else may be in there.
        manualChunks: (id) => (id.includes("/onnxruntime-web/dist/") && !id.endsWith("?url") ? "ort" : undefined),
      },
    },
  },
  test: {
    include: ["test/**/*.test.ts"],
    setupFiles: ["test/setup.ts"],
    testTimeout: 60_000,
    environment: "node",
  },
});
