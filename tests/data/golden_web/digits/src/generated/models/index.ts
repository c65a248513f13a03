// Made by ortlab. DO NOT EDIT: `ortlab generate` writes this file anew.
import { Digits } from "./Digits";
import type { ModelDescriptor } from "../../sdk/index";

export { Digits };
export type { DigitsInput, DigitsOutput } from "./Digits";

/** The models that this app carries. */
export const models: readonly ModelDescriptor[] = [
  Digits.descriptor,
];
