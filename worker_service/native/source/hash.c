/* The 64-bit hash of rows, version 1: see worker_service/kernels/hashing.py, which has the definition. */
#include "columns.h"

#define SEED UINT64_C(0x67726973746D696C)
#define OF_NULL UINT64_C(0x6E756C6C)

/* 1 to 7 bytes as a little-endian integer. */
static inline uint64_t short_word(const uint8_t *bytes, uint64_t size) {
    if (size < 4)
        return bytes[0] | (uint64_t)bytes[size / 2] << 8 * (size / 2) |
               (uint64_t)bytes[size - 1] << 8 * (size - 1);
    uint32_t low, high; /* they overlap */
    memcpy(&low, bytes, 4);
    memcpy(&high, bytes + size - 4, 4);
    return low | (uint64_t)high << 8 * (size - 4);
}

static inline uint64_t hash_string(const uint8_t *bytes, uint64_t size) {
    uint64_t hash = size;
    for (; size >= 8; bytes += 8, size -= 8)
        hash = mix64(hash * GM_STEP + load64(bytes));
    return size ? mix64(hash * GM_STEP + short_word(bytes, size)) : hash;
}

/* The hash of a value of a column that holds no wide decimals. */
static inline uint64_t hash_value(const Column *column, int64_t row) {
    switch (column->kind) {
    case GM_STRING: {
        int32_t first = column->offsets[row];
        return hash_string(column->data + first, (uint64_t)(column->offsets[row + 1] - first));
    }
    case GM_BOOL:
        return mix64((uint64_t)bit(column->data, column->data_at + row));
    case GM_DOUBLE: {
        int64_t bits = double_bits(column, row);
        return mix64(bits == INT64_MIN ? 0 : (uint64_t)bits); /* zero has no sign */
    }
    case GM_DATE:
        return mix64((uint64_t)(int64_t)date_of(column, row));
    case GM_DECIMAL:
        return mix64((uint64_t)decimal_of(column, row));
    default:
        return mix64((uint64_t)int64_of(column, row));
    }
}

/* out[i] is the hash of row i by *count* columns, for i below *rows*. No column holds lists, or decimals of
   more than 18 digits. */
GM_EXPORT void gm_hash_rows(const Column *columns, int64_t count, int64_t rows, uint64_t *out) {
    for (int64_t row = 0; row < rows; row++)
        out[row] = SEED;
    for (const Column *column = columns; column < columns + count; column++)
        for (int64_t row = 0; row < rows; row++) {
            uint64_t hash = is_null(column, row) ? OF_NULL : hash_value(column, row);
            out[row] = mix64(out[row] * GM_STEP + hash);
        }
}

/* The stamp of the sources that this library was built from; see worker_service/native/stamp.py. */
#ifndef GM_STAMP
#define GM_STAMP 0
#endif
GM_EXPORT uint64_t gm_stamp(void) {
    return GM_STAMP;
}
