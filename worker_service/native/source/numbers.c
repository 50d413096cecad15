/* Integers, decimals and bools from texts.

   Theory of operation. The length of a text is known, so its digits are taken eight at a time as one word: a
   check of all eight, then three multiplications. A text that is not exactly of the grammar in
   worker_service/readers/literals/strict.py is refused, and the reader decides about it. A refusal is always
   right, only slow; to take a text that the grammar does not have would be wrong. */
#include "fields.h"

/* Whether the text is an integer, whose value *out* gets: no zero before another digit. */
static inline int integer(const uint8_t *at, int64_t size, int64_t *out, int key) {
    const int negative = *at == '-';
    at += negative;
    size -= negative;
    uint64_t value;
    if (UNLIKELY(size < 1 || size > 19 || (*at == '0' && (size > 1 || (negative && key)))))
        return 0;
    if (UNLIKELY(!digits19(at, size, &value)))
        return 0;
    if (UNLIKELY(value > (uint64_t)INT64_MAX + (uint64_t)negative))
        return 0;
    *out = (int64_t)(negative ? 0 - value : value);
    return 1;
}

SPECIALIZED int64_t integers(const gm_fields *f, int64_t *out, int bare) {
    int64_t missing = 0;
    uint8_t room[PADDED + SPARE];
    const uint8_t *const safe = f->data + f->limit - 8; /* eight octets may be read up to there */
    const int key = f->strict & S_KEY;
    memset(f->null, 0, (size_t)f->rows);
    for (int64_t row = 0; row < f->rows; row++) {
        gm_text text = text_of(f, row, bare);
        if (LIKELY((uint64_t)(text.size - 1) < 8 && text.at <= safe)) {
            const uint64_t word = leading(text.at, text.size);
            out[row] = (int64_t)digits8(word);
            if (LIKELY(are_digits(word) & ((*text.at != '0') | (text.size == 1))) && (bare || !is_null(f, text)))
                continue;
        }
        out[row] = 0;
        int fine = 0;
        if (text.size == 0 || (!bare && is_null(f, text))) {
            f->null[row] = 1;
            missing++;
            continue;
        }
        if (LIKELY(text.size <= 20)) {
            text = readable(f, text, room);
            fine = integer(text.at, text.size, out + row, key);
        }
        if (UNLIKELY(!fine)) {
            f->null[row] = 1;
            f->refused[row] = 1;
            missing++;
        }
    }
    return missing;
}

/* out[i] is the int64 of row i; returns the number of rows that are null or refused. */
GM_EXPORT int64_t gm_int64(const gm_fields *fields, int64_t *out) {
    const gm_fields here = *fields; /* no store may change it */
    return is_bare(&here) ? integers(&here, out, 1) : integers(&here, out, 0);
}

/* A decimal as a scaled integer of at most 18 digits before scaling. */
static inline int decimal(const uint8_t *at, int64_t size, int32_t precision, int32_t scale, int point,
                          __int128 *out) {
    const int negative = *at == '-';
    const uint8_t *end = at + size;
    at += negative;
    const uint8_t *mark = at;
    while (mark < end && *mark != point)
        mark++;
    const int64_t whole = mark - at;
    int64_t places = mark < end ? end - mark - 1 : 0;
    if (whole + places == 0 || (whole > 1 && *at == '0'))
        return 0;
    while (places > scale && mark[places] == '0')
        places--;
    if (places > scale || whole + places > 18)
        return 0;
    uint64_t high = 0, low = 0;
    if (whole && !digits19(at, whole, &high))
        return 0;
    if (places && !digits19(mark + 1, places, &low))
        return 0;
    if (whole > precision - scale && high)
        return 0;
    __int128 value = high;
    for (int64_t i = 0; i < places; i++)
        value *= 10;
    value += low;
    for (int64_t i = places; i < scale; i++)
        value *= 10;
    *out = negative ? -value : value;
    return 1;
}

/* out[2 i] and out[2 i + 1] are the low and the high word of row i times 10**scale; as gm_int64. */
GM_EXPORT int64_t gm_decimal(const gm_fields *f, int32_t precision, int32_t scale, uint64_t *out) {
    int64_t missing = 0;
    uint8_t room[PADDED + SPARE];
    for (int64_t row = 0; row < f->rows; row++) {
        gm_text text = field_text(f, row);
        __int128 value = 0;
        int fine = 0, null = is_null(f, text);
        if (!null && text.size <= PADDED) {
            text = readable(f, text, room);
            fine = decimal(text.at, text.size, precision, scale, f->point, &value);
        }
        out[2 * row] = (uint64_t)value;
        out[2 * row + 1] = (uint64_t)(value >> 64);
        f->null[row] = !fine;
        f->refused[row] |= !fine && !null;
        missing += !fine;
    }
    return missing;
}

static inline int is_word(const uint8_t *at, const char *word, int64_t size, uint8_t folding) {
    for (int64_t i = 0; i < size; i++)
        if ((at[i] | folding) != (uint8_t)word[i])
            return 0;
    return 1;
}

/* out[i] is 1 for `true`, 0 for `false` in any case, of a key in lower case only; as gm_int64. */
GM_EXPORT int64_t gm_bool(const gm_fields *f, uint8_t *out) {
    int64_t missing = 0;
    const uint8_t folding = f->strict & S_KEY ? 0 : 0x20;
    for (int64_t row = 0; row < f->rows; row++) {
        gm_text text = field_text(f, row);
        const int null = is_null(f, text);
        const int true = !null && text.size == 4 && is_word(text.at, "true", 4, folding);
        const int fine = true || (!null && text.size == 5 && is_word(text.at, "false", 5, folding));
        out[row] = (uint8_t)true;
        f->null[row] = !fine;
        f->refused[row] |= !fine && !null;
        missing += !fine;
    }
    return missing;
}
