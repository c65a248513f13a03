import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const fetchFromNetwork = globalThis.fetch;

/** A page fetches what the app carries; here that lies on the disk. */
globalThis.fetch = async (input, init) => {
  const text = input instanceof Request ? input.url : input.toString();
  const url = text.replace("http://disk.test/", "file:///");
  if (!url.startsWith("file:")) return fetchFromNetwork(input, init);
  init?.signal?.throwIfAborted();
  try {
    const type = url.endsWith(".wasm") ? "application/wasm" : "application/octet-stream";
    return new Response(await readFile(fileURLToPath(url)), { headers: { "Content-Type": type } });
  } catch {
    return new Response(null, { status: 404 });
  }
};

/** Node.js has this from 21 on. */
if (!("navigator" in globalThis)) {
  Object.defineProperty(globalThis, "navigator", { value: { userAgent: "Node.js" } });
}
