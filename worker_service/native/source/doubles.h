/* Doubles as integers of the same order, see sort_keys in kernels/aggregates/order.py. */
#ifndef DOUBLES_H
#define DOUBLES_H

#include "gristmill.h"

/* The key of the double that has these bits. Key 0x7FF8... is the one NaN, and zero has no sign; negative doubles
   have all other bits flipped. */
static inline int64_t key_of_double(int64_t bits) {
    double value;
    memcpy(&value, &bits, 8);
    value += 0.0;
    memcpy(&bits, &value, 8);
    bits = value != value ? INT64_C(0x7FF8000000000000) : bits;
    return bits ^ ((bits >> 63) & INT64_MAX);
}

/* The inverse. */
static inline int64_t double_of_key(int64_t key) {
    return key ^ ((key >> 63) & INT64_MAX);
}

#endif
