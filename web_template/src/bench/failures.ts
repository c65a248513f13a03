import { messageOf, SdkError } from "../sdk/errors";
import { DeadlineReached } from "./measuring";
import type { Failure, FailureKind, Stage } from "./protocol";

/** A failure that this page found itself; `stage` where it does not belong to the one it is in. */
export class Refused extends Error {
  constructor(
    readonly kind: FailureKind,
    message: string,
    readonly stage: Stage | null = null,
  ) {
    super(message);
  }
}

const longestMessage = 4000;
const memoryWords = [
  "bad_alloc",
  "failed to allocate memory",
  "cannot allocate memory",
  "out of memory",
  "memory access out of bounds",
  "allocation failed",
  "invalid array length",
  "invalid typed array length",
  "aborted(oom)",
  "bfcarena",
  "can't allocate",
  // Sizes that 32 bits cannot count, which are the addresses of WebAssembly.
  "tensor shape is too large",
  "safeintonoverflow",
];
const unsupportedWords = [
  "is not supported",
  "unsupported model ir version",
  "no op registered",
  "is under development",
  "not a registered function/op",
  "failed to find kernel",
  "failed to find op_id",
  "could not find an implementation",
  "unknown model file format version",
];
const providerWords = [
  "executionprovider",
  "execution provider",
  "no available backend",
  "webgpu",
  "webnn",
];

/** OrtErrorCode of ONNX Runtime's C API, to what it means while a session is created. */
const whenCreating: Readonly<Record<number, FailureKind>> = {
  2: "invalid_model", // INVALID_ARGUMENT
  3: "model_missing", // NO_SUCHFILE
  4: "invalid_model", // NO_MODEL
  7: "invalid_model", // INVALID_PROTOBUF
  9: "unsupported", // NOT_IMPLEMENTED
  10: "invalid_model", // INVALID_GRAPH
  11: "provider_failed", // EP_FAIL
};
const whenRunning: Readonly<Record<number, FailureKind>> = {
  2: "invalid_input",
  9: "unsupported",
  11: "provider_failed",
};

/** Returns the protocol's words for what was thrown. */
export function failureOf(thrown: unknown, stage: Stage): Failure {
  const at = thrown instanceof Refused && thrown.stage !== null ? thrown.stage : stage;
  return { stage: at, kind: kindOf(thrown, at), message: messageOf(thrown).slice(0, longestMessage) };
}

function kindOf(thrown: unknown, stage: Stage): FailureKind {
  if (thrown instanceof Refused) return thrown.kind;
  if (thrown instanceof DeadlineReached) return "deadline";
  if (thrown instanceof SdkError && thrown.code === "invalid-options") return "unsupported";
  const text = messageOf(thrown).toLowerCase();
  if (memoryWords.some((word) => text.includes(word))) return "out_of_memory";
  const code = Number(/error_code: (\d+)/.exec(text)?.[1] ?? NaN);
  switch (stage) {
    case "first_run":
    case "warm_up":
    case "measure":
      if (text.includes("in 'feeds'")) return "invalid_input";
      return whenRunning[code] ?? "runtime_error";
    case "create_session":
      if (unsupportedWords.some((word) => text.includes(word))) return "unsupported";
      if (providerWords.some((word) => text.includes(word))) return "provider_failed";
      return whenCreating[code] ?? "runtime_error";
    default:
      return "runtime_error";
  }
}
