/* The 64-bit hash of strings, version 1: see worker_service/kernels/hashing.py, which has the definition. */
#include "gristmill.h"

static uint64_t hash_string(const uint8_t *bytes, uint64_t size) {
    uint64_t hash = size;
    for (; size >= 8; bytes += 8, size -= 8)
        hash = mix64(hash * GM_STEP + load64(bytes));
    if (size) {
        uint64_t word = 0;
        memcpy(&word, bytes, size);
        hash = mix64(hash * GM_STEP + word);
    }
    return hash;
}

/* out[i] is the hash of data[offsets[i] .. offsets[i + 1]), for i below *count*. */
GM_EXPORT void gm_hash_strings(const int32_t *offsets, const uint8_t *data, int64_t count, uint64_t *out) {
    for (int64_t i = 0; i < count; i++)
        out[i] = hash_string(data + offsets[i], (uint64_t)(offsets[i + 1] - offsets[i]));
}

/* The stamp of the sources that this library was built from; see worker_service/native/stamp.py. */
#ifndef GM_STAMP
#define GM_STAMP 0
#endif
GM_EXPORT uint64_t gm_stamp(void) {
    return GM_STAMP;
}
