import { messageOf, SdkError } from "../errors";

/**
 * A picture: rows from the top, pixels from the left, four bytes each: red, green, blue and how
 * opaque it is, in sRGB. An `ImageData` is one.
 */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array | Uint8ClampedArray;
}

/** The largest number of pixels that `decodePicture` keeps; larger photos are halved. */
const largestPixelCount = 16_000_000;

/**
 * Checks that a picture holds what it says.
 *
 * @throws SdkError `invalid-picture`.
 */
export function checkPicture(picture: Picture): void {
  const { width, height, data } = picture;
  const isSize = (size: number): boolean => Number.isSafeInteger(size) && size > 0;
  if (!isSize(width) || !isSize(height) || data.length !== 4 * width * height) {
    const message = `${data.length} bytes are no picture of ${width} × ${height} pixels`;
    throw new SdkError("invalid-picture", message);
  }
}

/**
 * Returns a picture as Exif's orientation says it is seen.
 *
 * @param orientation Of tag 0x0112: 1 to 8; 0 is unknown, and left as it is.
 * @throws SdkError `invalid-picture`: there is no such orientation.
 */
export function oriented(picture: Picture, orientation: number): Picture {
  checkPicture(picture);
  const { width, height, data } = picture;
  if (!Number.isInteger(orientation) || orientation < 0 || orientation > 8) {
    throw new SdkError("invalid-picture", `Exif has no orientation ${orientation}`);
  }
  if (orientation <= 1) return picture;
  const isTransposed = orientation >= 5;
  const [columns, rows] = isTransposed ? [height, width] : [width, height];
  const seen = new Uint8Array(data.length);
  const from = new Uint32Array(data.slice().buffer);
  const to = new Uint32Array(seen.buffer);
  for (let y = 0; y < rows; y += 1) {
    for (let x = 0; x < columns; x += 1) {
      const [row, column] = source(orientation, y, x, width, height);
      to[y * columns + x] = from[row * width + column] ?? 0;
    }
  }
  return { width: columns, height: rows, data: seen };
}

function source(
  orientation: number,
  y: number,
  x: number,
  width: number,
  height: number,
): readonly [row: number, column: number] {
  switch (orientation) {
    case 2:
      return [y, width - 1 - x];
    case 3:
      return [height - 1 - y, width - 1 - x];
    case 4:
      return [height - 1 - y, x];
    case 5:
      return [x, y];
    case 6:
      return [height - 1 - x, y];
    case 7:
      return [height - 1 - x, width - 1 - y];
    default:
      return [x, width - 1 - y];
  }
}

/**
 * Reads a photo's file, upright and in sRGB; only a browser can. One of more than 16 million
 * pixels is read at a half, a quarter or an eighth of its sides. A canvas keeps colours multiplied
 * with how opaque they are: a pixel that shines through comes out within one level on white.
 *
 * @throws SdkError `invalid-picture`: the browser cannot read it.
 */
export async function decodePicture(file: Blob): Promise<Picture> {
  try {
    const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
    try {
      let [width, height] = [bitmap.width, bitmap.height];
      for (let halved = 0; halved < 3 && width * height > largestPixelCount; halved += 1) {
        [width, height] = [Math.max(1, width >> 1), Math.max(1, height >> 1)];
      }
      const context = new OffscreenCanvas(width, height).getContext("2d", {
        willReadFrequently: true,
      });
      if (context === null) throw new Error("the browser gives no canvas");
      context.drawImage(bitmap, 0, 0, width, height);
      return context.getImageData(0, 0, width, height, { colorSpace: "srgb" });
    } finally {
      bitmap.close();
    }
  } catch (error) {
    const message = `Cannot read the picture: ${messageOf(error)}`;
    throw new SdkError("invalid-picture", message, { cause: error });
  }
}
