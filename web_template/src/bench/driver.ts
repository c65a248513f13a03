import { Refused } from "./failures";
import type { BlockResult, Stage } from "./protocol";

/** Who asked for a block, and takes what comes of it. */
export interface Driver {
  /** Returns a file of the request; null where there is none. */
  read(path: string): Promise<Uint8Array | null>;
  /** Tells that a stage is entered. */
  progress(stage: Stage): Promise<void>;
  /** Keeps an output or a profile. */
  write(name: string, bytes: Uint8Array): Promise<void>;
}

/** A driver behind a server; see "In a browser" of the benchmark protocol. */
export class ServedBlock implements Driver {
  readonly #base: URL;

  /** @param base Of the block; ends in a slash. */
  constructor(base: URL) {
    this.#base = base;
  }

  /** Returns the request as it came; undefined while there is none. */
  async request(): Promise<unknown> {
    const response = await fetch(new URL("request.json", this.#base), { cache: "no-store" });
    if (response.status === 404) return undefined;
    if (!response.ok) throw new Error(`the request cannot be read: ${response.status}`);
    return response.json();
  }

  async read(path: string): Promise<Uint8Array | null> {
    try {
      const response = await fetch(new URL(path, this.#base), { cache: "no-store" });
      return response.ok ? new Uint8Array(await response.arrayBuffer()) : null;
    } catch {
      return null;
    }
  }

  async progress(stage: Stage): Promise<void> {
    await this.#send("POST", "progress", stage, "text/plain");
  }

  async write(name: string, bytes: Uint8Array): Promise<void> {
    const body = new Blob([bytes as Uint8Array<ArrayBuffer>]);
    await this.#send("PUT", `files/${name}`, body, "application/octet-stream");
  }

  /** Hands the result over. */
  async finish(result: BlockResult): Promise<void> {
    await this.#send("POST", "result", JSON.stringify(result), "application/json");
  }

  async #send(method: string, path: string, body: BodyInit, type: string): Promise<void> {
    let problem: string;
    try {
      const headers = { "Content-Type": type };
      const response = await fetch(new URL(path, this.#base), { method, headers, body });
      if (response.ok) return;
      problem = `the server answers ${response.status}`;
    } catch (error) {
      problem = String(error);
    }
    throw new Refused("storage", `${path} cannot be handed over: ${problem}`);
  }
}
