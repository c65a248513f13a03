import type { ElementType } from "../sdk/tensors";

/** What a runner is asked; see `block_request.schema.json` of the benchmark protocol. */
export interface BlockRequest {
  readonly block_id: string;
  readonly purpose: "latency" | "memory" | "profile" | "parity" | "cold_start";
  readonly model: ModelRequest;
  readonly session: SessionSettings;
  readonly providers: readonly ProviderRequest[];
  readonly inputs: readonly TensorFile[];
  readonly warm_up: WarmUpRule;
  readonly stop: StopRule;
  readonly measured_runs: number;
  readonly settle_ns: number;
  readonly deadline_s: number;
}

export interface ModelRequest {
  readonly path: string;
  readonly sha256: string;
  readonly load_mode: "path" | "bytes" | "direct-bytes" | "initializers-from-bytes";
  readonly custom_op_library: string | null;
}

export interface SessionSettings {
  readonly graph_optimization_level: "disabled" | "basic" | "extended" | "layout" | "all";
  readonly intra_op_num_threads: number | null;
  readonly inter_op_num_threads: number | null;
  readonly execution_mode: "sequential" | "parallel";
  readonly cpu_memory_arena: boolean | null;
  readonly memory_pattern: boolean | null;
  readonly config_entries: Readonly<Record<string, string>>;
}

export interface ProviderRequest {
  readonly name: string;
  readonly options: Readonly<Record<string, string>>;
}

export interface TensorFile {
  readonly name: string;
  /** A tensor file also has bfloat16, which no browser's runtime takes. */
  readonly element_type: ElementType | "bfloat16";
  readonly shape: readonly number[];
  readonly path: string;
  readonly sha256: string | null;
}

export interface WarmUpRule {
  readonly window_min_runs: number;
  readonly window_ns: number;
  readonly agreement: number;
  readonly min_ns: number;
  readonly max_ns: number;
  readonly max_runs: number;
  readonly hard_limit_ns: number;
}

export interface StopRule {
  readonly min_runs: number;
  readonly min_ns: number;
  readonly max_ns: number;
  readonly floor_runs: number;
}

export type Stage =
  | "start"
  | "load_model"
  | "create_session"
  | "first_run"
  | "warm_up"
  | "measure"
  | "read_output"
  | "close";

export type FailureKind =
  | "invalid_request"
  | "unsupported"
  | "model_missing"
  | "model_changed"
  | "invalid_model"
  | "input_missing"
  | "invalid_input"
  | "provider_unavailable"
  | "provider_failed"
  | "custom_ops_failed"
  | "out_of_memory"
  | "runtime_error"
  | "storage"
  | "deadline";

export interface Failure {
  readonly stage: Stage;
  readonly kind: FailureKind;
  readonly message: string;
}

export type StopReason = "complete" | "time_limit" | "too_few_runs";

/** Integer nanoseconds. */
export interface Timing {
  environment_ns?: number;
  load_model_ns?: number;
  session_creation_ns?: number;
  first_run_ns?: number;
  warm_up_ns?: number[];
  warm_up_converged?: boolean;
  measured_ns?: number[];
  stop_reason?: StopReason;
  close_ns?: number;
}

export type MemoryPhase =
  | "baseline"
  | "environment"
  | "loaded"
  | "first_run"
  | "warm"
  | "end"
  | "closed";

export interface MemoryPoint {
  readonly metric: string;
  readonly kind: "current" | "peak";
  readonly scope: string;
  readonly phase: MemoryPhase;
  readonly size_bytes: number;
}

export interface RuntimeFacts {
  readonly ort_version: string;
  readonly language: "typescript";
  readonly language_version: string;
  readonly runner_version: string;
  readonly available_providers: readonly string[];
  readonly build_info: string | null;
  readonly shared_process: boolean;
  readonly app_build: string | null;
  readonly debugger_attached: boolean | null;
}

export interface Conditions {
  readonly battery_percent: number | null;
  readonly charging: boolean | null;
  readonly foreground: boolean | null;
}

export interface BrowserFacts {
  readonly cross_origin_isolated: boolean;
  readonly clock_step_ns: number;
  readonly threads_asked: number | null;
  readonly threads_got: number | null;
  readonly adapter: string | null;
  readonly adapter_is_fallback: boolean | null;
  readonly visible: boolean;
  readonly user_agent: string;
}

/** What a runner answers; see `block_result.schema.json`. */
export interface BlockResult {
  readonly schema: "ortlab.block_result/1";
  readonly block_id: string;
  failure: Failure | null;
  runtime: RuntimeFacts | null;
  readonly requested_providers: readonly ProviderRequest[];
  registered_providers: readonly string[];
  readonly clock: { readonly name: string; readonly resolution_ns: number };
  readonly timing: Timing;
  readonly memory: MemoryPoint[];
  conditions_before: Conditions | null;
  conditions_after: Conditions | null;
  outputs: readonly TensorFile[];
  profile_path: string | null;
  browser?: BrowserFacts;
}
