import type { ImageFormat, Tensor } from "../sdk/index";
import { fromHalf } from "../sdk/index";

/** Draws what a model sees: the tensor, back as a picture. */
export function drawTensor(canvas: HTMLCanvasElement, tensor: Tensor, format: ImageFormat): void {
  const { width, height, layout, colorOrder, scale, mean, std } = format;
  canvas.width = width;
  canvas.height = height;
  const channels = colorOrder === "gray" ? 1 : 3;
  const values = tensor.data as Uint8Array | Uint16Array | Float32Array;
  const pixels = new ImageData(width, height);
  const level = (pixel: number, channel: number): number => {
    const at = layout === "nchw" ? channel * width * height + pixel : pixel * channels + channel;
    const stored = values[at] ?? 0;
    const value = tensor.type === "float16" ? fromHalf(stored) : stored;
    const of = (list: readonly number[]): number => list[list.length === 1 ? 0 : channel] ?? 0;
    return (value * of(std) + of(mean)) / scale;
  };
  for (let pixel = 0; pixel < width * height; pixel += 1) {
    for (let color = 0; color < 3; color += 1) {
      const channel = channels === 1 ? 0 : colorOrder === "bgr" ? 2 - color : color;
      pixels.data[4 * pixel + color] = Math.round(level(pixel, channel));
    }
    pixels.data[4 * pixel + 3] = 255;
  }
  canvas.getContext("2d")?.putImageData(pixels, 0, 0);
}
