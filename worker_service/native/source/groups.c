/* Groups of rows by their keys: columns of keys to dense codes. See keys.h for the tables. */
#include "keys.h"

#include <stdlib.h>

static inline int present_at(const uint8_t *bitmap, int64_t bit) {
    return !bitmap || (bitmap[bit >> 3] >> (bit & 7) & 1);
}

/* An empty table of keys of *width* words; 2 for strings. NULL without memory. The caller frees it. */
GM_EXPORT void *gm_keys_new(int64_t width) {
    Keys *keys = calloc(1, sizeof(Keys));
    if (!keys)
        return NULL;
    keys->bits = FIRST_BITS;
    keys->width = width;
    keys->null_code = -1;
    keys->slots = calloc((size_t)1 << FIRST_BITS, 8);
    if (!keys->slots) {
        free(keys);
        return NULL;
    }
    return keys;
}

GM_EXPORT void gm_keys_free(void *table) {
    Keys *keys = table;
    if (!keys)
        return;
    free(keys->slots);
    free(keys->records);
    free(keys->arena);
    free(keys);
}

GM_EXPORT int64_t gm_keys_size(const void *table) {
    return ((const Keys *)table)->size;
}

/* The bytes that the table takes. */
GM_EXPORT int64_t gm_keys_bytes(const void *table) {
    const Keys *keys = table;
    return (INT64_C(8) << keys->bits) + keys->capacity * keys->width * 8 + keys->arena_capacity;
}

static int grow_slots(Keys *keys) {
    int64_t bits = keys->bits + 1, mask = (INT64_C(1) << bits) - 1;
    uint64_t *slots = calloc((size_t)1 << bits, 8);
    if (!slots)
        return 0;
    for (int64_t i = 0; i < INT64_C(1) << keys->bits; i++) {
        uint64_t slot = keys->slots[i];
        if (!slot)
            continue;
        int64_t at = (int64_t)(slot >> (64 - bits));
        while (slots[at])
            at = (at + 1) & mask;
        slots[at] = slot;
    }
    free(keys->slots);
    keys->slots = slots;
    keys->bits = bits;
    return 1;
}

static int reserve(Keys *keys, int64_t slots) {
    int64_t most = keys->size + RUN;
    if (most >= MOST_KEYS)
        return 0;
    while (slots * most > INT64_C(1) << keys->bits)
        if (!grow_slots(keys))
            return 0;
    if (most > keys->capacity) {
        int64_t capacity = most + keys->capacity / 2;
        uint64_t *records = realloc(keys->records, (size_t)(capacity * keys->width) * 8);
        if (!records)
            return 0;
        keys->records = records;
        keys->capacity = capacity;
    }
    return 1;
}

static int reserve_arena(Keys *keys, int64_t more) {
    int64_t most = keys->arena_size + more;
    if (most <= keys->arena_capacity)
        return 1;
    int64_t capacity = most + keys->arena_capacity / 2;
    uint8_t *arena = realloc(keys->arena, (size_t)capacity);
    if (!arena)
        return 0;
    keys->arena = arena;
    keys->arena_capacity = capacity;
    return 1;
}

int reserve_keys(Keys *keys, int64_t slots, int64_t arena) {
    return reserve(keys, slots) && (!arena || reserve_arena(keys, arena));
}

static inline int64_t null_code(Keys *keys, int64_t row, int64_t **firsts) {
    if (keys->null_code < 0) {
        memset(keys->records + keys->size * keys->width, 0, (size_t)keys->width * 8);
        keys->null_code = keys->size++;
        *(*firsts)++ = row;
    }
    return keys->null_code;
}

static inline void prefetch_slot(const Keys *keys, uint64_t hash) {
    __builtin_prefetch(keys->slots + (hash >> (64 - keys->bits)));
}

static inline void prefetch_record(const Keys *keys, uint64_t hash, int64_t width) {
    uint32_t code = (uint32_t)keys->slots[hash >> (64 - keys->bits)];
    __builtin_prefetch(keys->records + (code ? code - 1 : 0) * width);
}

static inline int64_t words_codes(Keys *keys, const uint64_t *words, const uint8_t *bitmap, int64_t bit,
                                  int64_t rows, int64_t *codes, int64_t *firsts, int64_t width) {
    int64_t *next = firsts;
    uint64_t hashes[RUN];
    for (int64_t start = 0; start < rows; start += RUN) {
        int64_t count = rows - start < RUN ? rows - start : RUN;
        const uint64_t *run = words + start * width;
        if (!reserve(keys, 2))
            return -1;
        for (int64_t i = 0; i < count; i++) {
            hashes[i] = hash_record(run + i * width, width);
            prefetch_slot(keys, hashes[i]);
        }
        for (int64_t i = 0; i < count; i++)
            prefetch_record(keys, hashes[i], width);
        for (int64_t i = 0; i < count; i++) {
            if (!present_at(bitmap, bit + start + i)) {
                codes[start + i] = null_code(keys, start + i, &next);
                continue;
            }
            int64_t code = find(keys, run + i * width, hashes[i], width);
            if (UNLIKELY(code < 0)) {
                int64_t at = -1 - code;
                code = add_key(keys, run + i * width, width);
                fill_slot(keys, at, hashes[i], code);
                *next++ = start + i;
            }
            codes[start + i] = code;
        }
    }
    return next - firsts;
}

/* codes[i] is the code of the key at words[i * width .. (i + 1) * width). Row i is null where bit *bit* + i of
   *bitmap* is 0; NULL stands for no nulls. firsts[j] is the row of the j-th key that is new; it has room for
   *rows*. Returns how many are new, -1 without memory, after which the table can only be freed. */
GM_EXPORT int64_t gm_keys_words(void *table, const uint64_t *words, const uint8_t *bitmap, int64_t bit,
                                int64_t rows, int64_t *codes, int64_t *firsts) {
    Keys *keys = table;
    if (keys->width == 1)
        return words_codes(keys, words, bitmap, bit, rows, codes, firsts, 1);
    if (keys->width == 2)
        return words_codes(keys, words, bitmap, bit, rows, codes, firsts, 2);
    if (keys->width == 3)
        return words_codes(keys, words, bitmap, bit, rows, codes, firsts, 3);
    return words_codes(keys, words, bitmap, bit, rows, codes, firsts, keys->width);
}

typedef struct {
    const int32_t *offsets; /* of the first row of the run */
    const uint8_t *data, *end, *bitmap;
    int64_t bit, row, count;
} StringRun;

/* The codes of a run of strings; the new *firsts* end where the result points to, NULL without memory. *plain*, a
   constant: none is null or long, and 16 octets may be read at each. */
static inline int64_t *string_codes(Keys *keys, const StringRun run, int64_t *codes, int64_t *firsts, int plain) {
    uint64_t hashes[RUN], records[RUN][2];
    int64_t arena = 0;
    for (int64_t i = 0; i < run.count; i++) {
        const int64_t size = run.offsets[i + 1] - run.offsets[i];
        const uint8_t *at = run.data + run.offsets[i];
        if (!plain && UNLIKELY(!present_at(run.bitmap, run.bit + i))) {
            hashes[i] = 0;
            continue;
        }
        if (plain || LIKELY(size <= SHORT)) {
            short_record(at, size, plain ? 16 : run.end - at, records[i]);
            hashes[i] = hash_record(records[i], 2);
        } else {
            records[i][1] = LONG_MARK | (uint64_t)size;
            hashes[i] = hash_bytes(at, size);
            arena += size;
        }
        prefetch_slot(keys, hashes[i]);
    }
    if (UNLIKELY(arena) && !reserve_arena(keys, arena))
        return NULL;
    for (int64_t i = 0; i < run.count; i++)
        prefetch_record(keys, hashes[i], 2);
    for (int64_t i = 0; i < run.count; i++) {
        if (!plain && UNLIKELY(!present_at(run.bitmap, run.bit + i))) {
            codes[i] = null_code(keys, run.row + i, &firsts);
            continue;
        }
        const int is_long = !plain && records[i][1] >= LONG_MARK;
        const uint8_t *at = run.data + run.offsets[i];
        const int64_t size = (int64_t)(records[i][1] & ~LONG_MARK);
        int64_t code = UNLIKELY(is_long) ? find_long(keys, at, size, hashes[i])
                                         : find(keys, records[i], hashes[i], 2);
        if (UNLIKELY(code < 0)) {
            const int64_t slot = -1 - code;
            if (is_long) {
                records[i][0] = (uint64_t)keys->arena_size;
                memcpy(keys->arena + keys->arena_size, at, (size_t)size);
                keys->arena_size += size;
            }
            code = add_key(keys, records[i], 2);
            fill_slot(keys, slot, hashes[i], code);
            *firsts++ = run.row + i;
        }
        codes[i] = code;
    }
    return firsts;
}

/* As gm_keys_words, for the strings data[offsets[i] .. offsets[i + 1]); *bytes* is the size of *data*. A null
   may have any offsets. */
GM_EXPORT int64_t gm_keys_strings(void *table, const int32_t *offsets, const uint8_t *data, int64_t bytes,
                                  const uint8_t *bitmap, int64_t bit, int64_t rows, int64_t *codes,
                                  int64_t *firsts) {
    Keys *keys = table;
    int64_t *next = firsts;
    for (int64_t row = 0; next && row < rows; row += RUN) {
        const int64_t count = rows - row < RUN ? rows - row : RUN;
        const StringRun run = {offsets + row, data, data + bytes, bitmap, bit + row, row, count};
        if (!reserve(keys, 2))
            return -1;
        int32_t longest = 0;
        for (int64_t i = 0; i < count; i++) {
            const int32_t size = run.offsets[i + 1] - run.offsets[i];
            longest = size > longest ? size : longest;
        }
        const int plain = !bitmap && longest <= SHORT && bytes - run.offsets[count - 1] >= 16;
        next = LIKELY(plain) ? string_codes(keys, run, codes + row, next, 1)
                             : string_codes(keys, run, codes + row, next, 0);
    }
    return next ? next - firsts : -1;
}

static inline int64_t index_at(const void *indexes, int64_t width, int64_t row) {
    return width == 1   ? ((const uint8_t *)indexes)[row]
           : width == 2 ? ((const uint16_t *)indexes)[row]
           : width == 4 ? (int64_t)((const uint32_t *)indexes)[row]
                        : ((const int64_t *)indexes)[row];
}

/* The records of tuples of codes: the codes of *count* columns, each below 2**31, two to a word. *words* has
   room for rows * ((count + 1) / 2). */
GM_EXPORT void gm_pack_codes(const int64_t *const *columns, int64_t count, int64_t rows, uint64_t *words) {
    int64_t width = (count + 1) / 2;
    for (int64_t j = 0; j < count; j += 2) {
        const int64_t *low = columns[j], *high = j + 1 < count ? columns[j + 1] : NULL;
        for (int64_t i = 0; i < rows; i++)
            words[i * width + j / 2] = (uint64_t)low[i] | (high ? (uint64_t)high[i] << 32 : 0);
    }
}

/* Codes of tuples by a table of all that there can be: known[sum of columns[j][row] * strides[j]] is the code of a
   tuple, -1 before its first row. *size* tuples have codes. Returns how many are new; *firsts* has room for
   *rows* of them. */
GM_EXPORT int64_t gm_tuple_codes(const int64_t *const *columns, const int64_t *strides, int64_t count, int64_t rows,
                                 int32_t *known, int64_t size, int64_t *codes, int64_t *firsts) {
    int64_t *next = firsts;
    for (int64_t start = 0; start < rows; start += RUN) {
        int64_t in_run = rows - start < RUN ? rows - start : RUN, places[RUN] = {0};
        for (int64_t j = 0; j < count; j++)
            for (int64_t i = 0; i < in_run; i++)
                places[i] += columns[j][start + i] * strides[j];
        for (int64_t i = 0; i < in_run; i++) {
            int32_t code = known[places[i]];
            if (UNLIKELY(code < 0)) {
                code = known[places[i]] = (int32_t)(size + (next - firsts));
                *next++ = start + i;
            }
            codes[start + i] = code;
        }
    }
    return next - firsts;
}

/* Codes of numbers by a table of all that there can be: known[number - first] is the code of a number, -1 before
   its first row. *size* numbers have codes. Returns how many are new; *firsts* has room for *rows* of them. */
GM_EXPORT int64_t gm_number_codes(const int64_t *numbers, int64_t rows, int64_t first, int32_t *known, int64_t size,
                                  int64_t *codes, int64_t *firsts) {
    int64_t *next = firsts;
    for (int64_t row = 0; row < rows; row++) {
        int32_t code = known[numbers[row] - first];
        if (UNLIKELY(code < 0)) {
            code = known[numbers[row] - first] = (int32_t)(size + (next - firsts));
            *next++ = row;
        }
        codes[row] = code;
    }
    return next - firsts;
}

/* codes[row] = of_value[indexes[row]], for indexes of *width* bytes, or *null_code* where a row is null. */
GM_EXPORT void gm_map_indexes(const void *indexes, int64_t width, const uint8_t *bitmap, int64_t bit, int64_t rows,
                              const int64_t *of_value, int64_t null_code, int64_t *codes) {
    for (int64_t row = 0; row < rows; row++) {
        if (present_at(bitmap, bit + row))
            codes[row] = of_value[index_at(indexes, width, row)];
        else
            codes[row] = null_code;
    }
}

/* used[i] is the first row of which indexes[row] is i, -1 where there is none. *used* has *size* entries; rows
   that are null count for none, as in gm_keys_words. *width* is the size of an index in bytes: 1, 2, 4 or 8. */
GM_EXPORT void gm_first_rows(const void *indexes, int64_t width, const uint8_t *bitmap, int64_t bit, int64_t rows,
                             int64_t size, int64_t *used) {
    for (int64_t i = 0; i < size; i++)
        used[i] = -1;
    for (int64_t row = rows - 1; row >= 0; row--) {
        if (!present_at(bitmap, bit + row))
            continue;
        used[index_at(indexes, width, row)] = row;
    }
}
