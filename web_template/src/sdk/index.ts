export { described } from "./descriptors";
export type {
  Dimension,
  ModelDescriptor,
  ModelStyle,
  ModelVariant,
  SampleTensor,
  StateDescriptor,
  TensorDescriptor,
} from "./descriptors";
export { SdkError } from "./errors";
export type { SdkErrorCode } from "./errors";
export { fromHalf, toHalf } from "./half";
export { bestLabels } from "./kinds/classification";
export type { Classification, ClassLabel } from "./kinds/classification";
export { pictureTensor } from "./kinds/image";
export type { ChannelType, ImageFormat } from "./kinds/image";
export { decodePicture, oriented } from "./kinds/picture";
export type { Picture } from "./kinds/picture";
export type { ResizeRule } from "./kinds/placement";
export type { Provider, ProviderReport, ProviderWithOptions, SessionOptions } from "./options";
export type { ProviderName } from "./runtime";
export { loadSample } from "./sample";
export { ModelSession } from "./session";
export type { SessionReport } from "./session";
export { outputOf, tensor, zeros } from "./tensors";
export type { ElementType, Tensor, TensorData } from "./tensors";
