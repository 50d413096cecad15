/* Arrow columns as the C functions get them: eight-byte fields, filled by worker_service/native/columns.py. */
#ifndef GRISTMILL_COLUMNS_H
#define GRISTMILL_COLUMNS_H

#include "gristmill.h"

enum { GM_BOOL, GM_INT64, GM_DOUBLE, GM_DECIMAL, GM_DATE, GM_TIME, GM_STRING, GM_LIST };

typedef struct Column {
    int64_t kind;
    const uint8_t *valid; /* bits, from bit valid_at on; null: all are valid */
    int64_t valid_at;
    const uint8_t *data;    /* the first value; of bools bits, from bit data_at on; of strings all bytes */
    int64_t data_at;
    const int32_t *offsets; /* of strings and lists: one more than rows */
    const struct Column *items;
    int64_t scale; /* of decimals */
    int64_t oid;   /* Postgres' number of the type */
} Column;

static inline int bit(const uint8_t *bits, int64_t at) {
    return bits[at >> 3] >> (at & 7) & 1;
}

static inline int is_null(const Column *column, int64_t row) {
    return column->valid && !bit(column->valid, column->valid_at + row);
}

static inline int64_t int64_of(const Column *column, int64_t row) {
    int64_t number;
    memcpy(&number, column->data + 8 * row, 8);
    return number;
}

static inline int32_t date_of(const Column *column, int64_t row) {
    int32_t days;
    memcpy(&days, column->data + 4 * row, 4);
    return days;
}

static inline __int128 decimal_of(const Column *column, int64_t row) {
    __int128 number;
    memcpy(&number, column->data + 16 * row, 16);
    return number;
}

/* The bits of a double with one NaN. */
static inline int64_t double_bits(const Column *column, int64_t row) {
    int64_t bits = int64_of(column, row);
    return (bits & INT64_MAX) > INT64_C(0x7FF0000000000000) ? INT64_C(0x7FF8000000000000) : bits;
}

#endif
