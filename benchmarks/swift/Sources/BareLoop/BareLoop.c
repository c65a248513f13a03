#include "BareLoop.h"

#include <time.h>

static int64_t nowNs(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

int64_t bareLoop(OrtSession *session, const char *inputName, const OrtValue *input,
                 const char *outputName, OrtValue *output, int64_t *samples, int32_t runs) {
    const OrtApi *api = OrtGetApiBase()->GetApi(ORT_API_VERSION);
    int64_t slowest = 0;
    for (int32_t run = 0; run < runs; run++) {
        int64_t started = nowNs();
        OrtStatus *status =
            api->Run(session, NULL, &inputName, &input, 1, &outputName, 1, &output);
        samples[run] = nowNs() - started;
        if (status != NULL) return -1;
        if (samples[run] > slowest) slowest = samples[run];
    }
    return slowest;
}
