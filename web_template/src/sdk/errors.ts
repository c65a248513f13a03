/**
 * What can go wrong.
 *
 * What is given does not fit, and the runtime never sees it: `shape-mismatch`,
 * `type-mismatch`, `invalid-elements`, `invalid-inputs`, `invalid-options`, `invalid-picture`.
 * The thing cannot be used at this moment: `closed`, `busy`.
 * The runtime or the browser cannot do it: `model-not-found`, `model-load-failed`,
 * `runtime-not-found`, `provider-unavailable`, `run-failed`.
 */
export type SdkErrorCode =
  | "shape-mismatch"
  | "type-mismatch"
  | "invalid-elements"
  | "invalid-inputs"
  | "invalid-options"
  | "invalid-picture"
  | "closed"
  | "busy"
  | "model-not-found"
  | "model-load-failed"
  | "runtime-not-found"
  | "provider-unavailable"
  | "run-failed";

const failures: ReadonlySet<SdkErrorCode> = new Set([
  "model-not-found",
  "model-load-failed",
  "runtime-not-found",
  "provider-unavailable",
  "run-failed",
]);

/** An error of this SDK; its message says what could not be done, to which thing, and why. */
export class SdkError extends Error {
  override readonly name = "SdkError";
  readonly code: SdkErrorCode;

  constructor(code: SdkErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }

  /** Whether the runtime or the browser failed, rather than what was asked for. */
  get isFailure(): boolean {
    return failures.has(this.code);
  }
}

/** Says in a sentence what was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error && thrown.message !== "" ? thrown.message : String(thrown);
}
