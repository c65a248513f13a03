// ONNX Runtime's C API, for Swift.
#pragma once

#include <onnxruntime/onnxruntime_c_api.h>

/// The API of the version that these headers describe; null where the library is older.
///
/// Switches the runtime's telemetry off for this process first: the runtime looks when it starts.
const OrtApi *_Nullable COrtApi(void);

/// Version of the library, such as "1.24.2".
const char *_Nonnull COrtVersion(void);

/// Registers the CPU provider, which the generic call does not know; null when that worked.
OrtStatus *_Nullable COrtAppendCpu(OrtSessionOptions *_Nonnull options, int usesArena);
