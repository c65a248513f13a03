// A loop over the C API: two readings of the clock and a store.
#pragma once

#include <stdint.h>

#include <onnxruntime/onnxruntime_c_api.h>

/// Runs a model with one input and one output that exists already; returns the nanoseconds of the
/// slowest run, or -1 where one failed.
int64_t bareLoop(OrtSession *_Nonnull session, const char *_Nonnull inputName,
                 const OrtValue *_Nonnull input, const char *_Nonnull outputName,
                 OrtValue *_Nonnull output, int64_t *_Nonnull samples, int32_t runs);
