/* Columns of strings in Arrow's layout: offsets, octets and nulls.

   Theory of operation. Fields are copied one behind the other, those of up to 16 octets as 16 octets at once
   where both sides have room for it. Only blocks with octets that are not ASCII, or with NUL, are looked at
   field by field: a text that is not UTF-8, or has NUL, is refused. Doubled quotes become one. */
#include "fields.h"

/* Whether all octets are UTF-8 as RFC 3629 has it: no surrogates, nothing overlong, at most U+10FFFF. */
static int is_utf8(const uint8_t *at, int64_t size) {
    const uint8_t *const end = at + size;
    while (at < end) {
        if (*at < 0x80) {
            at++;
            continue;
        }
        int more;
        uint8_t least = 0x80, most = 0xBF;
        if (*at >= 0xC2 && *at <= 0xDF) {
            more = 1;
        } else if ((*at & 0xF0) == 0xE0) {
            more = 2;
            if (*at == 0xE0)
                least = 0xA0;
            if (*at == 0xED)
                most = 0x9F;
        } else if (*at >= 0xF0 && *at <= 0xF4) {
            more = 3;
            if (*at == 0xF0)
                least = 0x90;
            if (*at == 0xF4)
                most = 0x8F;
        } else {
            return 0;
        }
        if (end - at <= more || at[1] < least || at[1] > most)
            return 0;
        for (int i = 2; i <= more; i++)
            if ((at[i] & 0xC0) != 0x80)
                return 0;
        at += more + 1;
    }
    return 1;
}

/* Copies *text* without the first of two quotes; the octets written. */
static int64_t undoubled(gm_text text, uint8_t quote, uint8_t *out) {
    uint8_t *const first = out;
    for (int64_t i = 0; i < text.size; i++) {
        *out++ = text.at[i];
        if (text.at[i] == quote && i + 1 < text.size && text.at[i + 1] == quote)
            i++;
    }
    return out - first;
}

static inline int is_null_string(const gm_fields *f, gm_text text) {
    return !text.quoted && (text.size == 0 || (UNLIKELY(*f->spelled != 255) && is_spelled(f->spelled, text)));
}

/* Octets that the texts of the column take at most. */
GM_EXPORT int64_t gm_string_bytes(const gm_fields *f) {
    int64_t total = 0;
    for (int64_t row = 0; row < f->rows; row++) {
        const int32_t *bound = f->found + f->base[row] + f->column;
        total += bound[1] - bound[0] - 1;
    }
    return total;
}

/* offsets[0 .. rows] and *out*, which has *room* octets, at least gm_string_bytes; returns the number of rows
   that are null or refused. */
GM_EXPORT int64_t gm_strings(const gm_fields *f, int32_t *offsets, uint8_t *out, int64_t room) {
    int64_t missing = 0, total = 0;
    const int check = f->flags & (F_HIGH | F_NUL), owned = *f->owned != 255;
    for (int64_t row = 0; row < f->rows; row++) {
        gm_text text = field_text(f, row);
        offsets[row] = (int32_t)total;
        f->null[row] = 0;
        uint8_t *const to = out + total;
        int64_t size = text.size;
        if (UNLIKELY(is_null_string(f, text))) {
            f->null[row] = 1;
            missing++;
            continue;
        }
        if (LIKELY(size <= 16 && text.at + 16 <= f->data + f->limit && total + 16 <= room))
            memcpy(to, text.at, 16);
        else
            memcpy(to, text.at, (size_t)size);
        if (UNLIKELY(text.quoted) && memchr(text.at, f->quote, (size_t)size))
            size = undoubled(text, (uint8_t)f->quote, to);
        int null = 0, refused = 0;
        if (UNLIKELY(owned))
            null = is_spelled(f->owned, (gm_text){to, size, 0});
        if (UNLIKELY(check))
            refused = memchr(to, 0, (size_t)size) || !is_utf8(to, size);
        if (UNLIKELY(null | refused)) {
            f->null[row] = 1;
            f->refused[row] |= (uint8_t)refused;
            missing++;
            continue;
        }
        total += size;
    }
    offsets[f->rows] = (int32_t)total;
    return missing;
}
