// ONNX Runtime's C API, for Swift.
#pragma once

#include <onnxruntime/onnxruntime_c_api.h>

/// The API of the version that these headers describe; null where the library is older.
static inline const OrtApi *_Nullable COrtApi(void) {
    return OrtGetApiBase()->GetApi(ORT_API_VERSION);
}

/// Version of the library, such as "1.24.2".
static inline const char *_Nonnull COrtVersion(void) {
    return OrtGetApiBase()->GetVersionString();
}
