/* Columns of few different texts as codes of these, without a copy of each text.

   Theory of operation. A row's text is looked up where it lies in the block. The texts are few, so what is read
   of the table stays in the cache, and rows are handled one by one. Only a new text is checked to be UTF-8. */
#include "fields.h"
#include "keys.h"

/* Slots for each text: few texts have a slot of another one in their way, which the processor cannot foresee. */
enum { SLOTS = 16 };

/* The code of a text that is new or long; -1 if it is none that may be kept, TOO_MANY or NO_MEMORY. *room* octets
   may be read at the text. */
static __attribute__((noinline)) int64_t rare_code(Keys *keys, const uint8_t *at, int64_t size, int64_t room,
                                                   int64_t most, int check) {
    uint64_t record[2], hash;
    const int is_long = size > SHORT;
    if (is_long) {
        hash = hash_bytes(at, size);
        const int64_t code = find_long(keys, at, size, hash);
        if (code >= 0)
            return code;
    } else {
        short_record(at, size, room, record);
        hash = hash_record(record, 2);
        const int64_t code = find(keys, record, hash, 2);
        if (code >= 0)
            return code;
    }
    if (check && !is_text(at, size))
        return -1;
    if (keys->size >= most)
        return TOO_MANY;
    if (!reserve_keys(keys, SLOTS, is_long ? size : 0))
        return NO_MEMORY;
    int64_t slot; /* the slots may have moved */
    if (is_long) {
        slot = -1 - find_long(keys, at, size, hash);
        record[0] = (uint64_t)keys->arena_size;
        record[1] = LONG_MARK | (uint64_t)size;
        memcpy(keys->arena + keys->arena_size, at, (size_t)size);
        keys->arena_size += size;
    } else {
        slot = -1 - find(keys, record, hash, 2);
    }
    fill_slot(keys, slot, hash, keys->size);
    return add_key(keys, record, 2);
}

/* The same for any text. */
static inline int64_t code_of(Keys *keys, const uint8_t *at, int64_t size, int64_t room, int64_t most, int check) {
    if (LIKELY(size <= SHORT && room >= 16)) {
        const uint64_t record[2] = {load64(at) & LOW[size], (load64(at + 8) & HIGH[size]) | (uint64_t)size << 56};
        const int64_t code = find(keys, record, hash_record(record, 2), 2);
        if (LIKELY(code >= 0))
            return code;
    }
    return rare_code(keys, at, size, room, most, check);
}

SPECIALIZED int codes(const gm_fields *f, Keys *keys, int64_t most, int32_t *out, int64_t *missing, int bare) {
    const int check = f->flags & (F_HIGH | F_NUL), owned = *f->owned != 255;
    int64_t none = 0;
    uint8_t text_of_row[LONGEST_CODED];
    memset(f->null, 0, (size_t)f->rows);
    for (int64_t row = 0; row < f->rows; row++) {
        gm_text text = text_of(f, row, bare);
        int64_t room = f->data + f->limit - text.at, code = 0;
        out[row] = 0;
        int null = bare ? text.size == 0 : is_null_string(f, text);
        if (LIKELY(!null)) {
            if (UNLIKELY(text.size > LONGEST_CODED))
                return TOO_MANY;
            if (!bare && UNLIKELY(text.quoted) && memchr(text.at, f->quote, (size_t)text.size)) {
                text.size = undoubled(text, (uint8_t)f->quote, text_of_row);
                text.at = text_of_row;
                room = LONGEST_CODED;
            }
            null = !bare && UNLIKELY(owned) && is_spelled(f->owned, (gm_text){text.at, text.size, 0});
        }
        if (LIKELY(!null)) {
            code = code_of(keys, text.at, text.size, room, most, check);
            if (LIKELY(code >= 0)) {
                out[row] = (int32_t)code;
                continue;
            }
            if (UNLIKELY(code < -1))
                return (int)code;
            f->refused[row] = 1;
        }
        f->null[row] = 1;
        none++;
    }
    *missing = none;
    return 0;
}

int append_codes(const gm_fields *fields, void *table, int64_t most, int32_t *out, int64_t *missing) {
    const gm_fields here = *fields; /* no store may change it */
    return is_bare(&here) ? codes(&here, table, most, out, missing, 1) : codes(&here, table, most, out, missing, 0);
}

/* The texts of a table in the order of their codes; none of them is null. offsets[0 .. size] and *out* may be
   NULL; returns how many octets *out* gets. */
GM_EXPORT int64_t gm_keys_texts(const void *table, int32_t *offsets, uint8_t *out) {
    const Keys *keys = table;
    int64_t total = 0;
    for (int64_t code = 0; code < keys->size; code++) {
        const uint64_t *record = keys->records + 2 * code;
        const int is_long = record[1] >= LONG_MARK;
        const int64_t size = (int64_t)(is_long ? record[1] & ~LONG_MARK : record[1] >> 56);
        if (offsets) {
            offsets[code] = (int32_t)total;
            memcpy(out + total, is_long ? keys->arena + record[0] : (const uint8_t *)record, (size_t)size);
        }
        total += size;
    }
    if (offsets)
        offsets[keys->size] = (int32_t)total;
    return total;
}
