import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

/** A page fetches what the app carries; here that lies on the disk, and there is no network. */
globalThis.fetch = async (input) => {
  const url = new URL(input instanceof Request ? input.url : input);
  const path = url.host === "disk.test" ? `file://${url.pathname}` : url.href;
  const type = path.endsWith(".wasm") ? "application/wasm" : "application/octet-stream";
  try {
    return new Response(await readFile(fileURLToPath(path)), { headers: { "Content-Type": type } });
  } catch {
    return new Response(null, { status: 404 });
  }
};

/** Node.js has this from 21 on. */
if (!("navigator" in globalThis)) {
  Object.defineProperty(globalThis, "navigator", { value: { userAgent: "Node.js" } });
}
