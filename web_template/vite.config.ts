import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";

import { versionMajorMinor } from "typescript";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

interface AppSettings {
  readonly name: string;
  readonly id: string;
  readonly version: string;
  readonly versionCode: number;
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
    __SERVICE_WORKER__: JSON.stringify(app.serviceWorker),
    __TYPESCRIPT_VERSION__: JSON.stringify(versionMajorMinor),
  },
  plugins: [titles(), appFile(), serviceWorker(), filesForTests()],
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

/** Gives the pages the app's name. */
function titles(): Plugin {
  const escapes: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };
  const title = app.name.replace(/[&<>]/g, (character) => escapes[character] ?? "");
  return {
    name: "titles",
    transformIndexHtml: () => [{ tag: "title", children: title, injectTo: "head" }],
  };
}

/** Ships what the app is, beside the pages. */
function appFile(): Plugin {
  return {
    name: "app-file",
    apply: "build",
    generateBundle() {
      const { name, id, version, versionCode } = app;
      const source = JSON.stringify({ name, id, version, versionCode }, null, 2) + "\n";
      this.emitFile({ type: "asset", fileName: "app.json", source });
    },
  };
}

/** Keeps the whole app in the browser, where `app.json` asks for it. */
function serviceWorker(): Plugin {
  return {
    name: "service-worker",
    apply: "build",
    generateBundle: {
      order: "post",
      handler(_, bundle) {
        if (!app.serviceWorker) return;
        const template = readFileSync(new URL("src/app/service_worker.js", import.meta.url), "utf8");
        const files = ["./", ...Object.keys(bundle)].sort();
        // Files in assets are named by their content, so that their names tell versions apart.
        const version = createHash("sha256").update(files.join("\n")).digest("hex").slice(0, 16);
        const source = template
          .replace("__VERSION__", () => JSON.stringify(version))
          .replace("__FILES__", () => JSON.stringify(files));
        this.emitFile({ type: "asset", fileName: "service_worker.js", source });
      },
    },
  };
}

/** Tests run without a server: see `test/setup.ts`. */
function filesForTests(): Plugin {
  const prefix = "\0disk:";
  return {
    name: "files-for-tests",
    enforce: "pre",
    async resolveId(source, importer) {
      if (!process.env["VITEST"] || !source.endsWith(".wasm?url")) return null;
      const found = await this.resolve(source.slice(0, -"?url".length), importer);
      // Encoded, as what seems to be in node_modules is left to Node.js.
      return found && prefix + Buffer.from(found.id).toString("hex");
    },
    load(id) {
      if (!id.startsWith(prefix)) return null;
      const { pathname } = pathToFileURL(Buffer.from(id.slice(prefix.length), "hex").toString());
      return `export default ${JSON.stringify(`http://disk.test${pathname}`)}`;
    },
  };
}
