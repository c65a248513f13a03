// Made by ortlab. DO NOT EDIT: `ortlab generate` writes this file anew.
import { Sample } from "./Sample";
import type { ModelDescriptor } from "../../sdk/index";

export { Sample };
export type { SampleInput, SampleOutput } from "./Sample";

/** The models that this app carries. */
export const models: readonly ModelDescriptor[] = [
  Sample.descriptor,
];
