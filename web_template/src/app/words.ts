/** Says a duration in milliseconds. */
export function milliseconds(value: number): string {
  return `${value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0)} ms`;
}

/** Says a size in bytes. */
export function size(bytes: number): string {
  if (bytes < 1e3) return `${bytes} B`;
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/** Says a number so that its size shows. */
export function number(value: number | bigint): string {
  return typeof value === "bigint" ? value.toString() : String(Number(value.toPrecision(5)));
}

/** Says a share of one. */
export function percent(share: number): string {
  return Number.isFinite(share) ? `${(100 * share).toFixed(1)} %` : String(share);
}
