#include "COrt.h"

#include <stdlib.h>

// Declared here because packages differ in whether they carry its header.
ORT_EXPORT OrtStatus *ORT_API_CALL
OrtSessionOptionsAppendExecutionProvider_CPU(OrtSessionOptions *options, int use_arena);

const OrtApi *COrtApi(void) {
    setenv("ORT_DISABLE_TELEMETRY", "1", 1);
    return OrtGetApiBase()->GetApi(ORT_API_VERSION);
}

const char *COrtVersion(void) { return OrtGetApiBase()->GetVersionString(); }

OrtStatus *COrtAppendCpu(OrtSessionOptions *options, int usesArena) {
    return OrtSessionOptionsAppendExecutionProvider_CPU(options, usesArena);
}
