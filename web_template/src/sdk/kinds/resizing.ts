/** Levels of 0 to 255: rows from the top, pixels from the left, channel after channel. */
export interface Levels {
  readonly width: number;
  readonly height: number;
  readonly levels: Uint8Array;
}

/** The size that a picture is resized to, and the part of it that is wanted. */
export interface Part {
  readonly width: number;
  readonly height: number;
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
  readonly antialias: boolean;
}

/** Old samples that make a new one, with their weights in 2⁻²². */
interface Window {
  readonly start: number;
  readonly weights: Int32Array;
}

const one = 2 ** 22;
const half = 2 ** 21;

/** Resizes along the rows, then along the columns, and returns the part that is wanted. */
export function resized(
  levels: Uint8Array,
  size: { readonly width: number; readonly height: number },
  channels: number,
  part: Part,
): Levels {
  const columns = windows(size.width, part.width, part.left, part.right, part.antialias);
  const rows = windows(size.height, part.height, part.top, part.bottom, part.antialias);
  const squeezed = alongRows(levels, size, channels, columns);
  const width = columns.length;
  return { width, height: rows.length, levels: alongColumns(squeezed, width * channels, rows) };
}

function alongRows(
  levels: Uint8Array,
  size: { readonly width: number; readonly height: number },
  channels: number,
  columns: readonly Window[],
): Uint8Array {
  const result = new Uint8Array(size.height * columns.length * channels);
  let to = 0;
  for (let y = 0; y < size.height; y += 1) {
    const row = y * size.width * channels;
    for (const { start, weights } of columns) {
      for (let channel = 0; channel < channels; channel += 1) {
        let from = row + start * channels + channel;
        let sum = half;
        for (const weight of weights) {
          sum += weight * (levels[from] ?? 0);
          from += channels;
        }
        result[to] = Math.min(255, sum >>> 22);
        to += 1;
      }
    }
  }
  return result;
}

function alongColumns(levels: Uint8Array, stride: number, rows: readonly Window[]): Uint8Array {
  const result = new Uint8Array(rows.length * stride);
  let to = 0;
  for (const { start, weights } of rows) {
    for (let column = 0; column < stride; column += 1) {
      let from = start * stride + column;
      let sum = half;
      for (const weight of weights) {
        sum += weight * (levels[from] ?? 0);
        from += stride;
      }
      result[to] = Math.min(255, sum >>> 22);
      to += 1;
    }
  }
  return result;
}

/** Returns the windows of the new samples `first` to before `end`, of `after` in all. */
function windows(
  before: number,
  after: number,
  first: number,
  end: number,
  antialias: boolean,
): Window[] {
  const scale = before / after;
  const reach = antialias ? Math.max(scale, 1) : 1;
  const perSample = 1 / reach;
  const result: Window[] = [];
  for (let index = first; index < end; index += 1) {
    const centre = (index + 0.5) * scale;
    const from = Math.max(0, Math.floor(centre - reach + 0.5));
    const to = Math.min(before, Math.floor(centre + reach + 0.5));
    const weights: number[] = [];
    let sum = 0;
    for (let sample = from; sample < to; sample += 1) {
      const weight = Math.max(0, 1 - Math.abs((sample - centre + 0.5) * perSample));
      weights.push(weight);
      sum += weight;
    }
    result.push({
      start: from,
      weights: Int32Array.from(weights, (weight) => Math.floor(0.5 + (weight / sum) * one)),
    });
  }
  return result;
}
