import { SdkError } from "../errors";
import { toHalf } from "../half";
import { arrays } from "../tensors";
import type { Tensor } from "../tensors";
import { checkPicture } from "./picture";
import type { Picture } from "./picture";
import { placed } from "./placement";
import type { ResizeRule } from "./placement";
import { resized } from "./resizing";

/** Element types that pictures are written as. */
export type ChannelType = "uint8" | "float16" | "float";

/** How an input wants pictures; see the kind `image`. */
export interface ImageFormat {
  readonly kind: "image";
  readonly width: number;
  readonly height: number;
  readonly layout: "nchw" | "nhwc";
  readonly colorOrder: "rgb" | "bgr" | "gray";
  readonly channelType: ChannelType;
  readonly scale: number;
  /** One for all channels, or one a channel in the tensor's order; so is `std`. */
  readonly mean: readonly number[];
  readonly std: readonly number[];
  readonly resize: ResizeRule;
  /** What surrounds the picture: a channel value of 0 to 255, before `scale`. */
  readonly padding: number;
  readonly antialias: boolean;
}

/**
 * Returns a picture of any size as the tensor that a model wants.
 *
 * @param type Of the input's elements.
 * @throws SdkError `invalid-picture`: its bytes are not what its size says; `type-mismatch`: the
 *   format is for another type.
 */
export function pictureTensor<T extends ChannelType>(
  picture: Picture,
  format: ImageFormat,
  type: T,
): Tensor<T> {
  checkPicture(picture);
  if (format.channelType !== type) {
    const message = `Pictures are written as ${format.channelType} here, not as ${type}`;
    throw new SdkError("type-mismatch", message);
  }
  const channels = format.colorOrder === "gray" ? 1 : 3;
  const { width, height } = format;
  const isPlanar = format.layout === "nchw";
  const shape = isPlanar ? [1, channels, height, width] : [1, height, width, channels];
  const elements = new arrays[type](width * height * channels);
  write(picture, format, channels, elements);
  return { type, shape, data: elements };
}

function write(
  picture: Picture,
  format: ImageFormat,
  channels: number,
  elements: Uint8Array | Uint16Array | Float32Array,
): void {
  const { width, height, antialias } = format;
  const place = placed(format.resize, picture, format);
  const visible = resized(channelLevels(picture, format, channels), picture, channels, {
    width: place.width,
    height: place.height,
    left: Math.max(0, -place.x),
    top: Math.max(0, -place.y),
    right: Math.min(place.width, width - place.x),
    bottom: Math.min(place.height, height - place.y),
    antialias,
  });
  const left = Math.max(0, place.x);
  const top = Math.max(0, place.y);
  const pixelStride = format.layout === "nchw" ? 1 : channels;
  const channelStride = format.layout === "nchw" ? width * height : 1;
  for (let channel = 0; channel < channels; channel += 1) {
    const { table, padding } = channelValues(format, channel);
    const start = channel * channelStride;
    for (let pixel = 0; pixel < width * height; pixel += 1) {
      elements[start + pixel * pixelStride] = padding;
    }
    for (let y = 0; y < visible.height; y += 1) {
      let from = y * visible.width * channels + channel;
      let to = start + ((top + y) * width + left) * pixelStride;
      for (let x = 0; x < visible.width; x += 1) {
        elements[to] = table[visible.levels[from] ?? 0] ?? 0;
        from += channels;
        to += pixelStride;
      }
    }
  }
}

/** Returns levels of 0 to 255, opaque, in the tensor's order of channels, pixel after pixel. */
function channelLevels(picture: Picture, format: ImageFormat, channels: number): Uint8Array {
  const { data } = picture;
  const levels = new Uint8Array(picture.width * picture.height * channels);
  const [first, last] = format.colorOrder === "bgr" ? [2, 0] : [0, 2];
  let to = 0;
  for (let from = 0; from < data.length; from += 4) {
    const alpha = data[from + 3] ?? 255;
    const red = onWhite(data[from + first] ?? 0, alpha);
    const green = onWhite(data[from + 1] ?? 0, alpha);
    const blue = onWhite(data[from + last] ?? 0, alpha);
    if (channels === 1) {
      levels[to] = (19595 * red + 38470 * green + 7471 * blue + 32768) >>> 16;
    } else {
      levels[to] = red;
      levels[to + 1] = green;
      levels[to + 2] = blue;
    }
    to += channels;
  }
  return levels;
}

function onWhite(level: number, alpha: number): number {
  if (alpha === 255) return level;
  return Math.floor((level * alpha + 255 * (255 - alpha) + 127) / 255);
}

/** Returns what each level becomes in a channel, and what surrounds the picture. */
function channelValues(
  format: ImageFormat,
  channel: number,
): { readonly table: Float64Array; readonly padding: number } {
  const of = (values: readonly number[]): number =>
    (values.length === 1 ? values[0] : values[channel]) ?? NaN;
  const [mean, std] = [of(format.mean), of(format.std)];
  const value = (level: number): number =>
    element((level * format.scale - mean) / std, format.channelType);
  return {
    table: Float64Array.from({ length: 256 }, (_, level) => value(level)),
    padding: value(format.padding),
  };
}

function element(value: number, type: ChannelType): number {
  switch (type) {
    case "float":
      return Math.fround(value);
    case "float16":
      return toHalf(Math.fround(value));
    case "uint8":
      return Math.min(255, Math.max(0, roundedToEven(value)));
  }
}

function roundedToEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return rest > 0.5 ? below + 1 : below;
  return below % 2 === 0 ? below : below + 1;
}
