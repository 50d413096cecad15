/* The members of JSON objects, one object a line.

   Theory of operation. A block of lines is taken in windows that fit the second-level cache. The line feeds of a
   window are found 64 octets at a time. Each line is read once, token by token, and the values of the wanted keys
   are noted. Then these are converted column by column, as the fields of CSV are, behind the values of the windows
   before.

   The whole line is checked, so that a line is either an object as RFC 8259 has it or refused. Refused is all that
   needs a closer look too: a key or a wanted value with an escape, a wanted key that occurs twice, a wanted value
   that is an array or an object, NaN and Infinity, deep nesting, octets that are not UTF-8.

   Lines of one file mostly have the same keys in the same order. So what lies between two values, a comma, a key
   and a colon, is first compared with what was at its place before. */
#include "json.h"
#include "scan.h"
#include "utf8.h"

enum { MOST_PLACES = 64 };

/* What lies before the value at a place of the object: its octets, the first 16 of them as words in which *kept*
   bits count, and the number of its key among the wanted ones, or -1. */
typedef struct {
    uint64_t first[2], kept[2];
    const uint8_t *at;
    int64_t size;
    int32_t key;
} Place;

static int32_t key_of(const uint8_t *keys, const uint8_t *at, int64_t size) {
    for (int32_t number = 0; *keys != 255; number++, keys += 1 + *keys)
        if (*keys == size && !memcmp(keys + 1, at, (size_t)size))
            return number;
    return -1;
}

static inline int is_place(const Place *place, Line line, const uint8_t *at) {
    if (UNLIKELY(line.limit - at < place->size || line.limit - at < 16))
        return 0;
    if (((load64(at) ^ place->first[0]) & place->kept[0]) | ((load64(at + 8) ^ place->first[1]) & place->kept[1]))
        return 0;
    return place->size <= 16 || !memcmp(at + 16, place->at + 16, (size_t)place->size - 16);
}

/* Passes what lies before a value, and notes it in *place*, or passes the end of the object: then its key is -2. NULL
   for neither. */
static const uint8_t *pass_before(Line line, const uint8_t *const from, int first, const uint8_t *keys,
                                  Place *place) {
    int escapes = 0;
    const uint8_t *at = pass_space(line, from);
    const int closed = is_next(line, at, '}');
    if (first ? !is_next(line, at, '{') : !closed && !is_next(line, at, ','))
        return NULL;
    at = closed ? at : pass_space(line, at + 1);
    if (closed || (first && is_next(line, at, '}'))) {
        *place = (Place){.size = INT64_MAX, .key = -2};
        return at + 1;
    }
    const uint8_t *const name = at + 1;
    if (!is_next(line, at, '"') || !(at = pass_string(line, at, &escapes)) || escapes)
        return NULL;
    const int64_t size = at - 1 - name;
    at = pass_space(line, at);
    if (!is_next(line, at, ':'))
        return NULL;
    at = pass_space(line, at + 1);
    *place = (Place){.at = from, .size = at - from, .key = size < 255 ? key_of(keys, name, size) : -1};
    const size_t kept = place->size < 16 ? (size_t)place->size : 16;
    memcpy(place->first, from, kept);
    memset(place->kept, 255, kept);
    return at;
}

/* Finds the values of the line that begins at *at*; 0 if it is refused. */
static int members(Line line, const uint8_t *at, const uint8_t *keys, const uint8_t *kinds, Place *places,
                   const uint8_t *data, int32_t *found) {
    uint64_t seen = 0;
    for (int number = 0;; number++) {
        Place *const place = places + (number < MOST_PLACES ? number : MOST_PLACES - 1);
        if (LIKELY(is_place(place, line, at))) {
            at += place->size;
        } else {
            at = pass_before(line, at, !number, keys, place);
            if (!at)
                return 0;
            if (place->key == -2)
                return pass_space(line, at) == line.end;
        }
        const uint8_t *const first = at;
        const int32_t key = place->key;
        int kind, escapes = 0;
        if (UNLIKELY(!(at = pass_value(line, at, &kind, &escapes))))
            return 0;
        if (key >= 0) {
            if (UNLIKELY(escapes || (kind & ~kinds[key]) || (seen >> key & 1)))
                return 0;
            seen |= UINT64_C(1) << key;
            if (LIKELY(kind)) {
                found[2 * key] = (int32_t)(first - data) - 1;
                found[2 * key + 1] = (int32_t)(at - data);
            }
        }
        if (LIKELY(is_next(line, at, '}') && at + 1 == line.end))
            return 1;
    }
}

/* The line feeds of data[at .. size), 64 octets at most; *high* gets bits if some octet is not ASCII. */
static inline uint64_t feeds64(const uint8_t *data, int64_t at, int64_t size, octets feed, uint64_t *high) {
    uint8_t rest[64] = {0};
    const uint8_t *from = data + at;
    if (UNLIKELY(size - at < 64))
        from = memcpy(rest, from, (size_t)(size - at));
    const wide w = wide_load(from);
    *high |= (uint64_t)wide_any_high(w);
    return wide_equal(w, feed);
}

static void fill_empty(int32_t *found, int64_t count, int64_t at) {
    for (int64_t j = 0; j < count; j++) {
        found[2 * j] = (int32_t)at - 1;
        found[2 * j + 1] = (int32_t)at;
    }
}

/* Reads the first *size* octets of *f*, which hold whole lines.

   Of *f* are taken data, masked, which is the same, limit and found; the rest is overwritten. *keys* are *count*
   wanted ones, at most 64, written as spellings of gm_fields are. kinds[j] are the kinds that the value of key j may
   have. The field 2 j of gm_fields is its value: empty for null, and without the key. *window* is a multiple of 64,
   and bounds the octets that are read at a time; *ends* has room for window + 72. *most_lines* are converted at a
   time: found has room for 2 * count * most_lines, regular[i] is 2 * count * i. The columns have room for *room*
   rows, offsets for one more; all have the same *refused*, which need not be 0 before. A column of codes has at most
   *most* texts. *size* is below 2**31 - 64.

   Row i is line i of those that hold more than a carriage return. refused[i] is 1 where its values mean nothing.
   The result is 0, and told[0] and told[3] the number of rows. Else the values mean nothing: MANY_ROWS; or what gm_windows
   returns for columns of texts and codes. */
GM_EXPORT int32_t gm_lines(gm_fields *f, int64_t size, const uint8_t *keys, const uint8_t *kinds, int64_t count,
                           int64_t window, gm_column *columns, int64_t column_count, int64_t room, int64_t most,
                           const int32_t *regular, int64_t most_lines, int32_t *ends, uint8_t *refused,
                           int64_t *told) {
    const octets feed = wide_octet('\n');
    const uint8_t *const data = f->data, *const limit = size && data[size - 1] == '\n' ? data + f->limit : data + size;
    int32_t *const found = (int32_t *)f->found;
    uint64_t high = 0; /* whether the line that goes on, or one of the window, has octets that are not ASCII */
    int64_t rows = 0, start = 0;
    Place places[MOST_PLACES];
    for (int i = 0; i < MOST_PLACES; i++)
        places[i].size = INT64_MAX;
    f->base = regular;
    f->quote = '"';
    f->flags = F_QUOTE;
    for (int64_t at = 0; at < size;) {
        const int64_t stop = size - at > window ? at + window : size;
        int32_t *last = ends;
        for (; at < stop; at += 64)
            last += write_positions((int32_t)at, feeds64(data, at, size, feed, &high), last);
        if (at >= size && data[size - 1] != '\n')
            *last++ = (int32_t)size;
        for (const int32_t *end = ends; end < last;) {
            const int64_t before = start;
            f->rows = 0;
            for (; end < last && f->rows < most_lines; end++) {
                const uint8_t *const first = data + start;
                Line line = {data + *end, limit};
                start = (int64_t)*end + 1;
                line.end -= line.end > first && line.end[-1] == '\r';
                if (UNLIKELY(line.end == first))
                    continue;
                if (UNLIKELY(rows + f->rows == room))
                    return MANY_ROWS;
                int32_t *const own = found + 2 * count * f->rows;
                fill_empty(own, count, first - data);
                const int fine = members(line, first, keys, kinds, places, data, own) &&
                                 (LIKELY(!high) || is_utf8(first, line.end - first));
                if (UNLIKELY(!fine))
                    fill_empty(own, count, first - data);
                refused[rows + f->rows++] = !fine;
            }
            told[6] = start;
            const int32_t outcome = convert_columns(f, columns, column_count, rows, start - before, most, told);
            if (UNLIKELY(outcome))
                return outcome;
            rows += f->rows;
        }
        if (last > ends)
            high = (uint64_t)(start < size && !is_ascii(data + start, stop - start));
    }
    told[0] = told[3] = rows;
    return 0;
}
