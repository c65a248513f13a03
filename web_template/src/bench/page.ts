import { messageOf } from "../sdk/errors";
import { watchWasmHeap } from "../sdk/wasm_heap";
import { runBlock } from "./block";
import { ServedBlock } from "./driver";
import { introduction } from "./runtime_facts";
import { watchConsole } from "./profile";

const pollMs = 1000;
/** A driver that does not answer so often in a row is gone. */
const mostSilences = 3;

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
  const body = JSON.stringify(await introduction());
  const headers = { "Content-Type": "application/json" };
  const greeted = await fetch(new URL("hello", base), { method: "POST", headers, body });
  if (!greeted.ok) throw new Error(`this page is not wanted: ${await greeted.text()}`);
  for (let silences = 0; silences < mostSilences; ) {
    show(`${__APP_NAME__} ${__APP_VERSION__} is waiting for work. Leave this page in front.`);
    const response = await fetch(new URL("next", base), { cache: "no-store" }).catch(() => null);
    if (response?.status === 410) break;
    silences = response === null ? silences + 1 : 0;
    if (response?.status === 200) await answer(await pathOf(response, base), performance.now(), true);
    else await pause(pollMs);
  }
  show("Done. You can close this page.");
}

async function pathOf(response: Response, base: URL): Promise<URL> {
  return onThisServer(new URL((await response.text()).trim(), base));
}

/** Returns a path that the page's address names, on the page's own server. */
function addressed(name: string): URL | null {
  const path = new URLSearchParams(location.search).get(name);
  if (path === null) return null;
  return onThisServer(new URL(path.endsWith("/") ? path : `${path}/`, location.href));
}

function onThisServer(url: URL): URL {
  if (url.origin !== location.origin) throw new Error(`${url.origin} is another server`);
  return url;
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
