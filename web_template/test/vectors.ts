import { existsSync, readFileSync } from "node:fs";

const root = new URL("../../", import.meta.url);

/** Whether the vectors are beside this project, as they are in ortlab's own repository. */
export const hasVectors = existsSync(new URL("bench_protocol/vectors", root));

/** Returns one of the benchmark protocol's vectors. */
export function protocolJson<T>(name: string): T {
  return JSON.parse(protocolFile(name).toString("utf8")) as T;
}

/** Returns one of the files beside the benchmark protocol's vectors. */
export function protocolFile(name: string): Buffer {
  return readFileSync(new URL(`bench_protocol/vectors/${name}`, root));
}

/** Returns one of the SDK's vectors. */
export function sdkJson<T>(name: string): T {
  return JSON.parse(sdkFile(name).toString("utf8")) as T;
}

/** Returns one of the files beside the SDK's vectors. */
export function sdkFile(name: string): Buffer {
  return readFileSync(sdkUrl(name));
}

/** Returns where one of the files beside the SDK's vectors is. */
export function sdkUrl(name: string): URL {
  return new URL(`sdk_vectors/${name}`, root);
}
