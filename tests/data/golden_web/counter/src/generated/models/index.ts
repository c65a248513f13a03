// Made by ortlab. DO NOT EDIT: `ortlab generate` writes this file anew.
import { Counter } from "./Counter";
import type { ModelDescriptor } from "../../sdk/index";

export { Counter };
export type { CounterInput, CounterOutput } from "./Counter";

/** The models that this app carries. */
export const models: readonly ModelDescriptor[] = [
  Counter.descriptor,
];
