/* The fields of one column of a block of CSV, as `gm_scan` has found them. */
#ifndef GRISTMILL_FIELDS_H
#define GRISTMILL_FIELDS_H

#include "gristmill.h"

/* What every conversion of a column takes. Python has its twin: worker_service/readers/fields.py. */
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

/* How one column of a block is converted, and where to: see windows.c. Python has its twin in
   worker_service/readers/targets.py. */
typedef struct {
    const uint8_t *spelled, *owned; /* as in gm_fields */
    void *out;                      /* the values, of strings the offsets */
    uint8_t *null, *refused;        /* as in gm_fields; *refused* is all 0 before */
    uint8_t *texts;                 /* of strings: their octets */
    void *table;                    /* of codes: the table of gm_keys_new of all texts so far */
    int64_t room;                   /* how many octets of texts there is room for */
    const uint8_t *known;           /* texts that are known to be misfits, written as *spelled* is */
    /* Characters that may stand around a value, and the one between groups of digits, written as *spelled* is. Columns
       of texts have neither. */
    const uint8_t *around, *between;
    int64_t missing;                /* out: the rows that are null or refused */
    int64_t before;                 /* scratch: *missing* before the window */
    int64_t total;                  /* out: octets of the strings */
    int32_t kind, column, last, point, strict; /* *kind* is one of gm_kind, the rest as in gm_fields */
    int32_t first, second;          /* of decimals precision and scale; of times whether one has a zone */
    int32_t unquoted;               /* none of its texts is within quotes */
    int32_t marks;                  /* bits of gm_marks */
} gm_column;

/* A value may have marks of its own: those of *around* and *between*, or a sign spelled as `(5)` or as `5-`. */
enum gm_marks { M_SOME = 1, M_AROUND = 2, M_BEHIND = 4 };

enum gm_kind { K_BOOL, K_INT64, K_DOUBLE, K_DECIMAL, K_DATE, K_TIME, K_STRING, K_CODES };

int64_t gm_int64(const gm_fields *f, int64_t *out);
int64_t gm_decimal(const gm_fields *f, int32_t precision, int32_t scale, uint64_t *out);
int64_t gm_bool(const gm_fields *f, uint8_t *out);
int64_t gm_float64(const gm_fields *f, double *out);
int64_t gm_date(const gm_fields *f, int32_t *out);
int64_t gm_timestamp(const gm_fields *f, int32_t zoned, int64_t *out);
/* Octets that the texts of the column take at most. */
int64_t gm_string_bytes(const gm_fields *f);
/* As gm_strings, behind *total* octets that *out* has already; returns the new total. */
int64_t append_strings(const gm_fields *f, int32_t *offsets, uint8_t *out, int64_t room, int64_t total,
                       int64_t *missing);

/* out[i] is the code of the text of row i in *table*, 0 where it is null or refused. Returns 0; TOO_MANY if more
   than *most* texts would have codes, or one is longer than LONGEST_CODED; NO_MEMORY. */
int append_codes(const gm_fields *f, void *table, int64_t most, int32_t *out, int64_t *missing);
enum { LONGEST_CODED = 64, MANY_ROWS = -2, LONG_TEXTS = -3, TOO_MANY = -4, NO_MEMORY = -5 };

/* Converts *columns* of the rows of *f*, which take so many *octets*, behind the first *row* ones. Returns 0;
   LONG_TEXTS if a column of texts may have no room; or what append_codes returns. told[0] is the column that fails. */
int convert_columns(gm_fields *f, gm_column *columns, int64_t count, int64_t row, int64_t octets, int64_t most,
                    int64_t *told);

/* Converts one column of the rows of *f*, behind the first *row* ones, as convert_columns does. */
typedef int convert_rows(const gm_fields *f, gm_column *c, int64_t row, int64_t most);
/* The same for a column with marks of its own, by *convert*: see marks.c. */
void convert_marked(const gm_fields *f, gm_column *c, int64_t row, convert_rows *convert);

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

/* Whether the texts of the column are all that is between its separators, and only an empty one is null. */
static inline int is_bare(const gm_fields *f) {
    return !(f->flags & F_QUOTE) && !(f->last && (f->flags & F_CARRIAGE_RETURN)) && *f->spelled == 255 &&
           *f->owned == 255;
}

/* The text of a field, of a column that is bare or not. */
SPECIALIZED gm_text text_of(const gm_fields *f, int64_t row, int bare) {
    if (!bare)
        return field_text(f, row);
    const int32_t *bound = f->found + f->base[row] + f->column;
    return (gm_text){f->data + bound[0] + 1, (int64_t)bound[1] - bound[0] - 1, 0};
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

/* Whether all octets are UTF-8, and none is NUL. */
int is_text(const uint8_t *at, int64_t size);
/* Copies *text* without the first of two quotes; the octets written. */
int64_t undoubled(gm_text text, uint8_t quote, uint8_t *out);

static inline int is_null_string(const gm_fields *f, gm_text text) {
    return !text.quoted && (text.size == 0 || (UNLIKELY(*f->spelled != 255) && is_spelled(f->spelled, text)));
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

/* How many of eight octets, the lowest first, are digits before the first one that is none. */
static inline int64_t digits_before(uint64_t word) {
    const uint64_t less = word ^ UINT64_C(0x3030303030303030);
    /* A carry reaches only octets behind the first that is no digit. */
    const uint64_t none = ((less + UINT64_C(0x7676767676767676)) | less) & UINT64_C(0x8080808080808080);
    return none ? __builtin_ctzll(none) >> 3 : 8;
}

/* The first *count* octets at *at*, 1 to 8, as a word of eight digits with zeros before them. */
static inline uint64_t leading(const uint8_t *at, int64_t count) {
    const uint64_t zeros = UINT64_C(0x30303030303030) >> (8 * (count - 1));
    return load64(at) << (64 - 8 * count) | zeros;
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
