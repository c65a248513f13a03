// Serves the built app on this machine: `npm run serve`, or `node serve.mjs [FOLDER] [PORT]`.
// It sends the two headers that threads need; see README.md.
import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, relative, sep } from "node:path";

const [folder = "dist", port = "8080"] = process.argv.slice(2);

const types = {
  ".bin": "application/octet-stream",
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".mjs": "text/javascript; charset=utf-8",
  ".onnx": "application/octet-stream",
  ".ort": "application/octet-stream",
  ".wasm": "application/wasm",
};

const headers = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "X-Content-Type-Options": "nosniff",
};

/** Returns the files below a folder by their paths in addresses: nothing else is ever served. */
async function filesBelow(root) {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  return new Map(
    files.map((entry) => {
      const path = join(entry.parentPath ?? entry.path, entry.name);
      return [`/${relative(root, path).split(sep).join("/")}`, path];
    }),
  );
}

function refuse(response, status, why) {
  response.writeHead(status, { ...headers, "Content-Type": "text/plain; charset=utf-8" });
  response.end(`${why}\n`);
}

async function answer(files, request, response) {
  if (request.method !== "GET" && request.method !== "HEAD") {
    refuse(response, 405, "files can only be read here");
    return;
  }
  const { pathname } = new URL(request.url ?? "/", "http://localhost");
  const name = decodeURIComponent(pathname.endsWith("/") ? `${pathname}index.html` : pathname);
  const path = files.get(name);
  if (path === undefined) {
    refuse(response, 404, "there is no such file");
    return;
  }
  const isNamedByContent = name.startsWith("/assets/");
  response.writeHead(200, {
    ...headers,
    "Content-Type": types[extname(path)] ?? "application/octet-stream",
    "Content-Length": (await stat(path)).size,
    "Cache-Control": isNamedByContent ? "public, max-age=31536000, immutable" : "no-cache",
  });
  if (request.method === "HEAD") response.end();
  else createReadStream(path).on("error", () => response.destroy()).pipe(response);
}

const files = await filesBelow(folder).catch(() => new Map());
if (!files.has("/index.html")) {
  console.error(`${folder} holds no app: npm run build`);
  process.exit(1);
}
const server = createServer((request, response) => {
  answer(files, request, response).catch(() => {
    if (response.headersSent) response.destroy();
    else refuse(response, 400, "this address cannot be read");
  });
});
server.on("error", (error) => {
  console.error(`cannot listen on port ${port}: ${error.message}`);
  process.exit(1);
});
server.listen(Number(port), "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${server.address().port}/`);
});
