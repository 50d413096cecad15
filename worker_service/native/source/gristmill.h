/* What all parts of the native library share.

   Contract of every function: the caller owns all memory, buffers do not overlap unless said, sizes are in
   elements, nothing is allocated unless the function says so. No function reads a byte outside of its buffers. */
#ifndef GRISTMILL_H
#define GRISTMILL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define GM_EXPORT __attribute__((visibility("default")))
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
/* Of a function that is called with constants, each of which gives it a loop of its own. */
#define SPECIALIZED static inline __attribute__((always_inline))

static inline uint64_t load64(const uint8_t *at) {
    uint64_t word;
    memcpy(&word, at, 8);
    return word;
}

/* The finalizer of splitmix64 (Steele, Lea and Flood, 2014), as in worker_service.kernels.hashing. */
#define GM_STEP UINT64_C(0x9E3779B97F4A7C15)
static inline uint64_t mix64(uint64_t x) {
    x += GM_STEP;
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return x ^ (x >> 31);
}

#endif
