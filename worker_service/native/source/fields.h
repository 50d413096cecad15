/* The fields of one column of a block of CSV, as `gm_scan` has found them. */
#ifndef GRISTMILL_FIELDS_H
#define GRISTMILL_FIELDS_H

#include "gristmill.h"

/* What every conversion of a column takes. Python has its twin: worker_service/readers/csv/native/separators.py. */
typedef struct {
    const uint8_t *data;     /* the block */
    const uint8_t *masked;   /* the same with stray quotes masked; often the same address */
    int64_t limit;           /* readable bytes of data, at least those of the records */
    const int32_t *found;    /* of gm_scan */
    const int32_t *base;     /* for each row: the index in found of the separator before its first field */
    int64_t rows;
    const uint8_t *spelled;  /* spellings of null where unquoted: each a length, below 255, and its octets; 255 ends */
    const uint8_t *owned;    /* those of this column, quoted or not */
    uint8_t *null;           /* out, for each row: 1 if it is null, else 0 */
    uint8_t *refused;        /* in and out, for each row: set to 1 if the value is none that is known here */
    int32_t column;          /* number of the field in its record, from 0 */
    int32_t last;            /* whether it is the last one: a carriage return before the end is no part of it */
    int32_t quote;           /* an octet, or negative for none */
    int32_t point;           /* the decimal mark */
    int32_t strict;          /* a key of which only the spelling of results is taken; or an undeclared column */
    int32_t flags;           /* those of gm_scan */
} gm_fields;

enum { F_CARRIAGE_RETURN = 1, F_LONE_RETURN = 2, F_NUL = 4, F_HIGH = 8, F_QUOTE = 16 };
/* Bits of gm_fields.strict. */
enum { S_KEY = 1, S_UNDECLARED = 2, S_UTC = 4 };

/* The text of a field, without its quotes. */
typedef struct {
    const uint8_t *at;
    int64_t size;
    int quoted;
} gm_text;

static inline gm_text field_text(const gm_fields *f, int64_t row) {
    const int32_t *bound = f->found + f->base[row] + f->column;
    int64_t start = (int64_t)bound[0] + 1, stop = bound[1];
    if (f->last && (f->flags & F_CARRIAGE_RETURN) && stop > start && f->data[stop - 1] == '\r')
        stop--;
    gm_text text = {f->data + start, stop - start, 0};
    if ((f->flags & F_QUOTE) && text.size > 1 && f->masked[start] == f->quote) {
        text.at++;
        text.size -= 2;
        text.quoted = 1;
    }
    return text;
}

static inline int is_spelled(const uint8_t *spellings, gm_text text) {
    for (; *spellings != 255; spellings += 1 + *spellings)
        if (*spellings == text.size && !memcmp(spellings + 1, text.at, (size_t)text.size))
            return 1;
    return 0;
}

/* Whether the text of a column that is not of strings is null. */
static inline int is_null(const gm_fields *f, gm_text text) {
    return text.size == 0 || (UNLIKELY(*f->spelled != 255) && is_spelled(f->spelled, text)) ||
           (UNLIKELY(*f->owned != 255) && is_spelled(f->owned, text));
}

/* Texts of numbers and times are shorter than this; longer ones are refused. */
enum { PADDED = 48, SPARE = 24 };

/* The same text where 24 octets may be read from any place in it: a copy in *room* near the end of the data. */
static inline gm_text readable(const gm_fields *f, gm_text text, uint8_t room[PADDED + SPARE]) {
    if (LIKELY(text.at + text.size + SPARE <= f->data + f->limit))
        return text;
    memset(room, 0, PADDED + SPARE);
    memcpy(room, text.at, (size_t)text.size);
    text.at = room;
    return text;
}

/* Eight ASCII digits as octets of a word, the first one lowest: whether all are digits, and their value. */
static inline int are_digits(uint64_t word) {
    const uint64_t upper = UINT64_C(0xF0F0F0F0F0F0F0F0), three = UINT64_C(0x3030303030303030);
    return ((word & upper) == three) & (((word + UINT64_C(0x0606060606060606)) & upper) == three);
}
static inline uint64_t digits8(uint64_t word) {
    word -= UINT64_C(0x3030303030303030);
    word = word * 10 + (word >> 8);
    return ((word & UINT64_C(0x000000FF000000FF)) * UINT64_C(0x000F424000000064) +
            ((word >> 16) & UINT64_C(0x000000FF000000FF)) * UINT64_C(0x0000271000000001)) >> 32;
}

/* The first *count* octets at *at*, 1 to 8, as a word of eight digits with zeros before them. */
static inline uint64_t leading(const uint8_t *at, int64_t count) {
    return count == 8 ? load64(at)
                      : load64(at) << (64 - 8 * count) | UINT64_C(0x3030303030303030) >> (8 * count);
}

/* *count* digits, 1 to 16, as a number; 0 if some octet is no digit. */
static inline int digits16(const uint8_t *at, int64_t count, uint64_t *value) {
    if (count <= 8) {
        uint64_t word = leading(at, count);
        *value = digits8(word);
        return are_digits(word);
    }
    uint64_t high = leading(at, count - 8), low = load64(at + count - 8);
    *value = digits8(high) * 100000000 + digits8(low);
    return are_digits(high) & are_digits(low);
}

/* *count* digits, 1 to 19: they fit 64 bits without a sign. */
static inline int digits19(const uint8_t *at, int64_t count, uint64_t *value) {
    if (LIKELY(count <= 16))
        return digits16(at, count, value);
    uint64_t high, low;
    int fine = digits16(at, count - 16, &high) & digits16(at + count - 16, 16, &low);
    *value = high * UINT64_C(10000000000000000) + low;
    return fine;
}

#endif
