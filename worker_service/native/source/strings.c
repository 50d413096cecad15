/* Columns of strings in Arrow's layout: offsets, octets and nulls.

   Theory of operation. Fields are copied one behind the other, those of up to 16 octets as 16 octets at once
   where both sides have room for it. Only blocks with octets that are not ASCII, or with NUL, are looked at
   field by field: a text that is not UTF-8, or has NUL, is refused. Doubled quotes become one. */
#include "fields.h"
#include "utf8.h"

int64_t undoubled(gm_text text, uint8_t quote, uint8_t *out) {
    uint8_t *const first = out;
    for (int64_t i = 0; i < text.size; i++) {
        *out++ = text.at[i];
        if (text.at[i] == quote && i + 1 < text.size && text.at[i + 1] == quote)
            i++;
    }
    return out - first;
}

int is_text(const uint8_t *at, int64_t size) {
    return !memchr(at, 0, (size_t)size) && is_utf8(at, size);
}

GM_EXPORT int64_t gm_string_bytes(const gm_fields *f) {
    int64_t total = 0;
    for (int64_t row = 0; row < f->rows; row++) {
        const int32_t *bound = f->found + f->base[row] + f->column;
        total += bound[1] - bound[0] - 1;
    }
    return total;
}

SPECIALIZED int64_t strings(const gm_fields *f, int32_t *offsets, uint8_t *out, int64_t room, int64_t total,
                            int64_t *none, int bare) {
    int64_t missing = 0;
    const int check = f->flags & (F_HIGH | F_NUL), owned = *f->owned != 255;
    const uint8_t *const safe = f->data + f->limit - 16;
    memset(f->null, 0, (size_t)f->rows);
    for (int64_t row = 0; row < f->rows; row++) {
        gm_text text = text_of(f, row, bare);
        offsets[row] = (int32_t)total;
        uint8_t *const to = out + total;
        int64_t size = text.size;
        if (UNLIKELY(bare ? size == 0 : is_null_string(f, text))) {
            f->null[row] = 1;
            missing++;
            continue;
        }
        if (LIKELY(size <= 16 && text.at <= safe && total + 16 <= room))
            memcpy(to, text.at, 16);
        else
            memcpy(to, text.at, (size_t)size);
        if (!bare && UNLIKELY(text.quoted) && memchr(text.at, f->quote, (size_t)size))
            size = undoubled(text, (uint8_t)f->quote, to);
        int null = 0, refused = 0;
        if (!bare && UNLIKELY(owned))
            null = is_spelled(f->owned, (gm_text){to, size, 0});
        if (UNLIKELY(check))
            refused = !is_text(to, size);
        if (UNLIKELY(null | refused)) {
            f->null[row] = 1;
            f->refused[row] |= (uint8_t)refused;
            missing++;
            continue;
        }
        total += size;
    }
    offsets[f->rows] = (int32_t)total;
    *none = missing;
    return total;
}

int64_t append_strings(const gm_fields *fields, int32_t *offsets, uint8_t *out, int64_t room, int64_t total,
                       int64_t *missing) {
    const gm_fields here = *fields; /* no store may change it */
    return is_bare(&here) ? strings(&here, offsets, out, room, total, missing, 1)
                          : strings(&here, offsets, out, room, total, missing, 0);
}

/* offsets[0 .. rows] and *out*, which has *room* octets, at least gm_string_bytes; returns the number of rows
   that are null or refused. */
GM_EXPORT int64_t gm_strings(const gm_fields *f, int32_t *offsets, uint8_t *out, int64_t room) {
    int64_t missing;
    append_strings(f, offsets, out, room, 0, &missing);
    return missing;
}
