/** How a picture of another size fills a tensor. */
export type ResizeRule = "stretch" | "fit" | "fit-top-left" | "fit-height" | "crop";

interface Size {
  readonly width: number;
  readonly height: number;
}

/** Where a picture comes to lie in a tensor: its size there, and its upper left corner. */
export interface Placement extends Size {
  readonly x: number;
  readonly y: number;
}

/** Returns where a rule puts a picture in a tensor. */
export function placed(rule: ResizeRule, picture: Size, tensor: Size): Placement {
  const { width, height } = tensor;
  switch (rule) {
    case "stretch":
      return { width, height, x: 0, y: 0 };
    case "fit-top-left":
      return { ...fitting(picture, tensor), x: 0, y: 0 };
    case "fit": {
      const size = fitting(picture, tensor);
      return { ...size, x: (width - size.width) >> 1, y: (height - size.height) >> 1 };
    }
    case "fit-height": {
      const wanted = Math.ceil((picture.width * height) / picture.height);
      return { width: Math.min(width, wanted), height, x: 0, y: 0 };
    }
    case "crop": {
      const size = covering(picture, tensor);
      return { ...size, x: -((size.width - width) >> 1) + 0, y: -((size.height - height) >> 1) + 0 };
    }
  }
}

function fitting(picture: Size, { width, height }: Size): Size {
  return isWider(picture, { width, height })
    ? { width, height: Math.max(1, rounded(picture.height * width, picture.width)) }
    : { width: Math.max(1, rounded(picture.width * height, picture.height)), height };
}

function covering(picture: Size, { width, height }: Size): Size {
  return isWider(picture, { width, height })
    ? { width: rounded(picture.width * height, picture.height), height }
    : { width, height: rounded(picture.height * width, picture.width) };
}

function isWider(picture: Size, tensor: Size): boolean {
  return tensor.width * picture.height <= tensor.height * picture.width;
}

/** Returns the quotient, a half rounded up. */
function rounded(dividend: number, divisor: number): number {
  return Math.floor((2 * dividend + divisor) / (2 * divisor));
}
