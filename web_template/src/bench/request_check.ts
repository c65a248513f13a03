import { elementTypes } from "../sdk/tensors";
import type { BlockRequest } from "./protocol";

/** Says what is wrong with a value, in a sentence; empty where nothing is. */
type Check = (value: unknown, place: string) => string;

/** The first of these whole numbers that the protocol does not allow. */
const endOfNumbers = 2 ** 62;

const wrong = (value: unknown, place: string): string =>
  `${place} cannot be ${JSON.stringify(value)}`;

const when =
  (isRight: (value: unknown) => boolean): Check =>
  (value, place) =>
    isRight(value) ? "" : wrong(value, place);

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const text = when((value) => typeof value === "string");
const name = when((value) => typeof value === "string" && value !== "" && !value.includes("\0"));
const path = name;
const hash = when((value) => typeof value === "string" && /^[0-9a-f]{64}$/.test(value));
const flag = when((value) => typeof value === "boolean");
const real = when((value) => typeof value === "number" && value >= 0 && value < 1e9);
const atLeast = (least: number): Check =>
  when((value) => Number.isInteger(value) && Number(value) >= least && Number(value) < endOfNumbers);
const count = atLeast(0);
const positive = atLeast(1);
const oneOf = (...allowed: string[]): Check =>
  when((value) => typeof value === "string" && allowed.includes(value));
const optional =
  (check: Check): Check =>
  (value, place) =>
    value === null ? "" : check(value, place);
const mapOfTexts: Check = (value, place) =>
  isObject(value) && Object.values(value).every((item) => typeof item === "string")
    ? ""
    : wrong(value, place);
const listOf =
  (check: Check): Check =>
  (value, place) => {
    if (!Array.isArray(value)) return `${place} is no array`;
    return value.map((item, at) => check(item, `${place}[${at}]`)).find(Boolean) ?? "";
  };
const object =
  (fields: Readonly<Record<string, Check>>): Check =>
  (value, place) => {
    if (!isObject(value)) return `${place} is no object`;
    for (const [key, check] of Object.entries(fields)) {
      if (!Object.hasOwn(value, key)) return `${place} lacks ${key}`;
      const problem = check(value[key], place === whole ? key : `${place}.${key}`);
      if (problem !== "") return problem;
    }
    return "";
  };

const whole = "the request";

const request = object({
  schema: oneOf("ortlab.block_request/1"),
  block_id: name,
  purpose: oneOf("latency", "memory", "profile", "parity", "cold_start"),
  model: object({
    path,
    sha256: hash,
    load_mode: oneOf("path", "bytes", "direct-bytes", "initializers-from-bytes"),
    custom_op_library: optional(path),
  }),
  session: object({
    graph_optimization_level: oneOf("disabled", "basic", "extended", "layout", "all"),
    intra_op_num_threads: optional(count),
    inter_op_num_threads: optional(count),
    execution_mode: oneOf("sequential", "parallel"),
    cpu_memory_arena: optional(flag),
    memory_pattern: optional(flag),
    config_entries: mapOfTexts,
  }),
  providers: listOf(object({ name, options: mapOfTexts })),
  inputs: listOf(
    object({
      name: text,
      element_type: oneOf(...elementTypes, "bfloat16"),
      shape: listOf(count),
      path,
      sha256: optional(hash),
    }),
  ),
  output_directory: path,
  warm_up: object({
    window_min_runs: positive,
    window_ns: count,
    agreement: real,
    min_ns: count,
    max_ns: count,
    max_runs: count,
    hard_limit_ns: count,
  }),
  stop: object({ min_runs: positive, min_ns: count, max_ns: count, floor_runs: positive }),
  measured_runs: positive,
  settle_ns: count,
  deadline_s: real,
});

/** Returns the block's id, without which nobody can be answered; null where it is missing. */
export function answerable(value: unknown): string | null {
  if (!isObject(value)) return null;
  const { block_id: id, output_directory: directory } = value;
  return name(id, "") === "" && path(directory, "") === "" ? (id as string) : null;
}

/** Returns what is wrong with a request, in a sentence, or an empty text. */
export function problemOf(value: unknown): string {
  const problem = request(value, whole);
  if (problem !== "") return problem;
  const { providers, inputs } = value as BlockRequest;
  if (providers.length === 0) return "providers is empty";
  const names = new Set(inputs.map((input) => input.name));
  return names.size === inputs.length ? "" : "inputs names a tensor twice";
}
