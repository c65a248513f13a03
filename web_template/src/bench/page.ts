import { messageOf } from "../sdk/errors";
import { watchWasmHeap } from "../sdk/wasm_heap";
import { runBlock } from "./block";
import { ServedBlock } from "./driver";
import { watchConsole } from "./profile";

const pollMs = 1000;

watchConsole();
watchWasmHeap();

function show(text: string): void {
  const state = document.getElementById("state");
  if (state) state.textContent = text;
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Runs one block; returns false where it is not there yet. */
async function answer(base: URL, startedMs: number, sharedProcess: boolean): Promise<boolean> {
  const block = new ServedBlock(base);
  const request = await block.request();
  if (request === undefined) return false;
  show("Running a block …");
  const result = await runBlock(request, block, { startedMs, sharedProcess });
  if (result === null) throw new Error("the request has no block_id and output_directory");
  await block.finish(result);
  const { failure } = result;
  show(failure ? `${failure.kind} in ${failure.stage}: ${failure.message}` : "Done.");
  return true;
}

async function runOne(base: URL): Promise<void> {
  // A page that waited counts from the moment at which there was a request.
  for (let startedMs = 0; !(await answer(base, startedMs, false)); ) {
    show("Waiting for a block …");
    await pause(pollMs);
    startedMs = performance.now();
  }
}

async function runMany(base: URL): Promise<void> {
  await fetch(new URL("hello", base), {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({
      runner: `${__APP_NAME__} ${__APP_VERSION__}`,
      user_agent: navigator.userAgent,
      cross_origin_isolated: crossOriginIsolated,
    }),
  });
  for (;;) {
    show("Waiting for work …");
    const path = await nextBlock(base);
    if (path === null) await pause(pollMs);
    else await answer(new URL(path, base), performance.now(), true);
  }
}

async function nextBlock(base: URL): Promise<string | null> {
  try {
    const response = await fetch(new URL("next", base), { cache: "no-store" });
    const path = response.status === 200 ? (await response.text()).trim() : "";
    return path === "" ? null : path;
  } catch {
    return null; // The driver is away, and may come back.
  }
}

/** Returns a path that the page's address names, on the page's own server. */
function addressed(name: string): URL | null {
  const path = new URLSearchParams(location.search).get(name);
  if (path === null) return null;
  const base = new URL(path.endsWith("/") ? path : `${path}/`, location.href);
  if (base.origin !== location.origin) throw new Error(`${name} is on another server`);
  return base;
}

async function main(): Promise<void> {
  document.title = `${__APP_NAME__} benchmark`;
  const [block, batch] = [addressed("block"), addressed("batch")];
  if (block) await runOne(block);
  else if (batch) await runMany(batch);
  else show("This page measures the model when ortlab opens it.");
}

main().catch((error: unknown) => {
  show(messageOf(error));
  console.error(error);
});
