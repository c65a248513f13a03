// Made by ortlab. DO NOT EDIT: `ortlab generate` writes this file anew.
import { Product } from "./Product";
import type { ModelDescriptor } from "../../sdk/index";

export { Product };
export type { ProductInput, ProductOutput } from "./Product";

/** The models that this app carries. */
export const models: readonly ModelDescriptor[] = [
  Product.descriptor,
];
