/* Pages of Parquet column chunks that are not nested, as Arrow lays out columns.

   Theory of operation. A page holds a level for each row, 0 where it is null, and the values of the others.
   These are plain, or indexes of words in the dictionary of the chunk. Levels and indexes are written as runs:
   one number many times, or numbers of a few bits, packed by eight ("RLE/bit-packing hybrid" in Encodings.md
   of Apache Parquet). The structs remember where in a run the next row is, so that a batch can end anywhere.
   Values are decoded side by side; if some rows are null, they move to their rows then, the last one first.

   Nothing of a file is trusted. A page that contradicts itself is given up, and a library decodes it or tells
   its fault. */
#include "pages.h"

enum { TILE = 256 };

/* ---- Runs ---- */

/* Seven bits in each octet, the lowest first; the eighth says that more follow. Returns 0 if *at* ends before. */
static int varint(const uint8_t **at, const uint8_t *end, uint64_t *number) {
    *number = 0;
    for (int shift = 0; *at < end && shift < 63; shift += 7) {
        *number |= (uint64_t)(**at & 127) << shift;
        if (*(*at)++ < 128)
            return 1;
    }
    return 0;
}

static int next_run(gm_runs *r) {
    const uint8_t *const start = r->at;
    uint64_t head;
    if (!varint(&r->at, r->end, &head) || r->at - start > 5 || head >> 32 || head < 2) /* no run is empty */
        return 0;
    const int64_t count = (int64_t)(head >> 1), rest = r->end - r->at;
    r->taken = 0;
    if (head & 1) {
        if (count * r->bits > rest)
            return 0;
        r->packed = r->at;
        r->left = 8 * count;
        r->at += count * r->bits;
        return 1;
    }
    const int64_t octets = (r->bits + 7) / 8;
    if (octets > rest)
        return 0;
    r->packed = NULL;
    r->left = count;
    r->number = 0;
    for (int64_t i = 0; i < octets; i++)
        r->number |= (int64_t)r->at[i] << 8 * i;
    r->at += octets;
    return 1;
}

/* Eight numbers of *bits* bits; eight octets can be read from the first octet of each. */
SPECIALIZED void unpack8(const uint8_t *at, uint32_t *out, const int bits) {
    const uint64_t mask = (UINT64_C(1) << bits) - 1, all = load64(at);
    for (int i = 0; i < 8; i++) /* up to eight bits, one load has all */
        out[i] = (uint32_t)((bits > 8 ? load64(at + (i * bits >> 3)) >> (i * bits & 7) : all >> i * bits) & mask);
}

SPECIALIZED void unpack_groups(const uint8_t *at, const uint8_t *end, int64_t groups, uint32_t *out, const int bits) {
    for (; groups && end - at >= (7 * bits >> 3) + 8; groups--, at += bits, out += 8)
        unpack8(at, out, bits);
    for (; groups; groups--, at += bits, out += 8) {
        uint8_t copy[40] = {0};
        memcpy(copy, at, (size_t)bits);
        unpack8(copy, out, bits);
    }
}

#define OF_BITS(n)                                                                                             \
    case n:                                                                                                    \
        unpack_groups(at, r->end, groups, out, n);                                                             \
        break;
#define OF_BITS_8(n)                                                                                           \
    OF_BITS(n + 1) OF_BITS(n + 2) OF_BITS(n + 3) OF_BITS(n + 4) OF_BITS(n + 5) OF_BITS(n + 6) OF_BITS(n + 7)    \
    OF_BITS(n + 8)

static void groups_of(const gm_runs *r, int64_t first, int64_t groups, uint32_t *out) {
    const uint8_t *const at = r->packed + first * r->bits;
    switch (r->bits) {
        OF_BITS_8(0)
        OF_BITS_8(8)
        OF_BITS_8(16)
        OF_BITS_8(24)
    default: /* no bits: the only word of a dictionary */
        memset(out, 0, (size_t)(32 * groups));
    }
}

/* The next *count* numbers of a packed run, which has as many left. */
static void unpacked(gm_runs *r, int64_t count, uint32_t *out) {
    while (count) {
        const int64_t group = r->taken >> 3, skipped = r->taken & 7;
        int64_t some = count & ~(int64_t)7;
        if (!skipped && some) {
            groups_of(r, group, some >> 3, out);
        } else {
            uint32_t eight[8];
            groups_of(r, group, 1, eight);
            some = 8 - skipped < count ? 8 - skipped : count;
            memcpy(out, eight + skipped, (size_t)(4 * some));
        }
        r->taken += some;
        r->left -= some;
        out += some;
        count -= some;
    }
}

/* The next *count* numbers, each less than *limit*; returns 0 if they are not there. */
static int numbers(gm_runs *r, int64_t count, int64_t limit, uint32_t *out) {
    while (count) {
        if (!r->left) {
            if (!next_run(r))
                return 0;
            continue;
        }
        const int64_t some = r->left < count ? r->left : count;
        uint32_t most = 0;
        if (r->packed) {
            unpacked(r, some, out);
            for (int64_t i = 0; i < some; i++)
                most = out[i] > most ? out[i] : most;
        } else {
            most = (uint32_t)r->number;
            for (int64_t i = 0; i < some; i++)
                out[i] = most;
            r->left -= some;
        }
        if (most >= limit)
            return 0;
        out += some;
        count -= some;
    }
    return 1;
}

/* Sets valid[i] to 1 where a row has a value, else 0. Returns how many have, or -1. */
static int64_t present(gm_chunk *c, int64_t rows, uint8_t *valid) {
    gm_runs *const r = &c->levels;
    if (!r->at) {
        memset(valid, 1, (size_t)rows);
        return rows;
    }
    int64_t found = 0;
    for (int64_t row = 0; row < rows;) {
        if (!r->left) {
            if (!next_run(r))
                return -1;
            continue;
        }
        int64_t some = r->left < rows - row ? r->left : rows - row;
        if (!r->packed) {
            if (r->number > 1)
                return -1;
            memset(valid + row, (int)r->number, (size_t)some);
            found += r->number * some;
            r->left -= some;
        } else {
            uint32_t levels[TILE];
            some = some < TILE ? some : TILE;
            unpacked(r, some, levels);
            for (int64_t i = 0; i < some; i++) {
                valid[row + i] = (uint8_t)levels[i];
                found += levels[i];
            }
        }
        row += some;
    }
    return found;
}

/* ---- Headers ---- */

enum { DEEPEST = 4, T_TRUE = 1, T_FALSE, T_I16 = 4, T_I32, T_I64, T_OCTETS = 8, T_STRUCT = 12 };
enum { IS_SORTED = 7 * FIELDS + 3, IS_PACKED = 8 * FIELDS + 7 };
enum { DATA = 0, DATA_V2 = 3, PLAIN = 0, PLAIN_INDEXES = 2, RLE = 3, INDEXES = 8 };

static int zigzag(const uint8_t **at, const uint8_t *end, int64_t *number) {
    uint64_t found;
    if (!varint(at, end, &found))
        return 0;
    *number = (int64_t)(found >> 1) ^ -(int64_t)(found & 1);
    return 1;
}

/* Reads the header at *data*, a struct PageHeader of `parquet.thrift` in Thrift's compact protocol. Its field n
   goes to found[n], field n of the struct in its field s to found[FIELDS * s + n]: whole numbers and truth
   values; INT64_MIN if there is none. Returns the size of the header, or -1 if it does not end within *size*. */
static int64_t read_header(const uint8_t *data, int64_t size, int64_t *found) {
    const uint8_t *at = data, *const end = data + size;
    int64_t around[DEEPEST], number = 0, value;
    int depth = 0;
    for (int i = 0; i < FIELDS * FIELDS; i++)
        found[i] = INT64_MIN;
    while (at < end) {
        const int step = *at >> 4, kind = *at & 15;
        if (!*at++) { /* the end of a struct */
            if (!depth)
                return at - data;
            number = around[--depth];
            continue;
        }
        if (step)
            number += step;
        else if (!zigzag(&at, end, &number))
            return -1;
        if (kind == T_STRUCT) {
            if (depth == DEEPEST)
                return -1;
            around[depth++] = number;
            number = 0;
            continue;
        }
        if (kind == T_OCTETS) {
            uint64_t octets;
            if (!varint(&at, end, &octets) || octets > (uint64_t)(end - at))
                return -1;
            at += octets;
            continue;
        }
        const int is_truth = kind == T_TRUE || kind == T_FALSE;
        if (is_truth)
            value = kind == T_TRUE;
        else if (kind < T_I16 || kind > T_I64 || !zigzag(&at, end, &value))
            return -1; /* no field of a header has another type */
        if (depth > 1) /* of statistics */
            continue;
        const int64_t outer = depth ? around[0] : 0, place = FIELDS * outer + number;
        if (number <= 0 || number >= FIELDS || outer < depth || outer >= FIELDS || value != (int32_t)value ||
            is_truth != (place == IS_SORTED || place == IS_PACKED) || (!is_truth && kind != T_I32))
            return -1;
        found[place] = value;
    }
    return -1;
}

/* Reads the headers of up to *most* pages at *data* that lie within *size* octets, to FIELDS * FIELDS numbers of
   *found* each, as read_header does; the first number is where the body begins, from *data* on. Returns the
   number of pages. The header behind them is read, too; its first number is -1 if it is not whole. */
GM_EXPORT int64_t gm_page_headers(const uint8_t *data, int64_t size, int64_t most, int64_t *found) {
    int64_t at = 0, pages = 0;
    for (; pages < most; pages++, found += FIELDS * FIELDS) {
        const int64_t header = read_header(data + at, size - at, found);
        found[0] = header < 0 ? -1 : at + header;
        if (header < 0 || found[3] < 0 || found[3] > size - found[0])
            break;
        at = found[0] + found[3];
    }
    return pages;
}

static gm_runs runs_in(const uint8_t *at, const uint8_t *end, int64_t bits) {
    return (gm_runs){.at = at, .end = end, .bits = bits};
}

/* Turns to the next page, if it is one of data that the functions below can read. */
static int turn(gm_chunk *c) {
    const int64_t *const header = c->headers + FIELDS * FIELDS * c->next;
    const gm_body *const b = c->bodies + c->next++;
    const int64_t v2 = header[1] == DATA_V2, *const of = header + FIELDS * (v2 ? 8 : 5);
    const int64_t rows = of[1], encoding = of[v2 ? 4 : 2], required = v2 ? 6 : 4;
    const uint8_t *values = b->values, *const end = values + b->size;
    c->levels = c->indexes = (gm_runs){0};
    c->values = c->end = NULL;
    if ((header[1] != DATA && !v2) || !rows || rows > c->unread)
        return 0;
    for (int64_t i = 1; i <= required; i++)
        if (of[i] < 0) /* or it is missing */
            return 0;
    if (v2) {
        if (of[3] != rows || of[6] || of[5] > b->body_size)
            return 0;
        if (c->is_optional)
            c->levels = runs_in(b->body, b->body + of[5], 1);
    } else if (c->is_optional) {
        uint32_t octets;
        if (of[3] != RLE || b->size < 4)
            return 0;
        memcpy(&octets, values, 4);
        values += 4;
        if (octets > end - values)
            return 0;
        c->levels = runs_in(values, values + octets, 1);
        values += octets;
    }
    if (encoding == INDEXES || encoding == PLAIN_INDEXES) {
        if (c->count < 0 || (values < end && *values > 32))
            return 0;
        if (values < end)
            c->indexes = runs_in(values + 1, end, *values);
    } else if (encoding == PLAIN && !c->are_indexes) {
        c->values = values;
        c->end = end;
    } else {
        return 0;
    }
    c->rows = rows;
    c->unread -= rows;
    return 1;
}

/* ---- Numbers, and indexes of texts ---- */

SPECIALIZED void gather(const uint8_t *words, const uint32_t *at, int64_t count, uint8_t *out, const size_t width) {
    for (int64_t i = 0; i < count; i++)
        memcpy(out + width * (size_t)i, words + width * at[i], width);
}

static int side_by_side(gm_chunk *c, int64_t count, uint8_t *out) {
    if (c->values) {
        if (c->end - c->values < count * c->width)
            return 0;
        memcpy(out, c->values, (size_t)(count * c->width));
        c->values += count * c->width;
        return 1;
    }
    if (c->are_indexes)
        return numbers(&c->indexes, count, c->count, (uint32_t *)(void *)out);
    while (count) {
        uint32_t at[4 * TILE];
        const int64_t some = count < 4 * TILE ? count : 4 * TILE;
        if (!numbers(&c->indexes, some, c->count, at))
            return 0;
        if (c->width == 4)
            gather(c->words, at, some, out, 4);
        else
            gather(c->words, at, some, out, 8);
        out += some * c->width;
        count -= some;
    }
    return 1;
}

/* Moves *found* values to those of *rows* rows that are valid, and zeros to the others. */
SPECIALIZED void to_rows(uint8_t *out, const uint8_t *valid, int64_t rows, int64_t found, const size_t width) {
    for (int64_t row = rows; row-- > 0;) {
        uint64_t value = 0;
        if (valid[row])
            memcpy(&value, out + width * (size_t)--found, width);
        memcpy(out + width * (size_t)row, &value, width);
    }
}

/* 1 if there is a page with rows, perhaps the next one; 0 if the known pages have none left; -1 at a page that
   contradicts itself. */
static int with_rows(gm_chunk *c) {
    if (c->rows)
        return 1;
    return c->next == c->known ? 0 : turn(c) ? 1 : -1;
}

/* The next *rows* rows, or those that the known pages have left, to *out*, which is aligned to their width: 0 where
   *valid* becomes 0. Returns how many rows these are, or -1 at a page that contradicts itself. */
GM_EXPORT int64_t gm_chunk_numbers(gm_chunk *c, int64_t rows, uint8_t *out, uint8_t *valid) {
    int64_t done = 0;
    int there = 1;
    while (done < rows && (there = with_rows(c)) > 0) {
        const int64_t some = c->rows < rows - done ? c->rows : rows - done;
        int64_t found = present(c, some, valid + done);
        if (found < 0 || !side_by_side(c, found, out))
            return -1;
        if (found < some && c->width == 4)
            to_rows(out, valid + done, some, found, 4);
        else if (found < some)
            to_rows(out, valid + done, some, found, 8);
        out += some * c->width;
        c->rows -= some;
        done += some;
    }
    return there < 0 ? -1 : done;
}

/* ---- Texts ---- */

typedef struct {
    const uint8_t *at;
    int64_t size;
} text;

static int32_t size_at(const uint8_t *at) {
    int32_t size;
    memcpy(&size, at, 4);
    return size;
}

/* The next *count* texts, at most TILE. */
static int texts_of(gm_chunk *c, int64_t count, text *out) {
    if (!c->values) {
        uint32_t at[TILE];
        if (!numbers(&c->indexes, count, c->count, at))
            return 0;
        for (int64_t i = 0; i < count; i++)
            out[i] = (text){c->words + c->bounds[at[i]], c->bounds[at[i] + 1] - c->bounds[at[i]]};
        return 1;
    }
    for (int64_t i = 0; i < count; i++) {
        if (c->end - c->values < 4)
            return 0;
        out[i] = (text){c->values + 4, size_at(c->values)};
        if (out[i].size < 0 || out[i].size > c->end - out[i].at)
            return 0;
        c->values = out[i].at + out[i].size;
    }
    return 1;
}

/* As gm_chunk_numbers, of texts: *out* has *room* octets, of which those up to offsets[0] are taken. Stops early
   when there is no room for the next rows, at most TILE of them. */
GM_EXPORT int64_t gm_chunk_texts(gm_chunk *chunk, int64_t rows, int32_t *offsets, uint8_t *out, int64_t room,
                                 uint8_t *valid) {
    int64_t done = 0, total = offsets[0];
    if (total < 0 || room > INT32_MAX)
        return -1;
    int there = 1;
    while (done < rows && (there = with_rows(chunk)) > 0) {
        gm_chunk here = *chunk, *const c = &here; /* the chunk stays where it is if there is no room */
        int64_t some = rows - done < TILE ? rows - done : TILE, size = 0;
        some = some < c->rows ? some : c->rows;
        text texts[TILE];
        const int64_t found = present(c, some, valid + done);
        if (found < 0 || !texts_of(c, found, texts))
            return -1;
        for (int64_t i = 0; i < found; i++)
            size += texts[i].size;
        if (total + size > room)
            break;
        const uint8_t *const end = !found ? NULL : c->values ? c->end : c->words + c->bounds[c->count];
        const text *next = texts;
        for (int64_t row = done; row < done + some; row++) {
            if (LIKELY(valid[row])) {
                if (LIKELY(next->size <= 16 && end - next->at >= 16 && total + 16 <= room))
                    memcpy(out + total, next->at, 16);
                else
                    memcpy(out + total, next->at, (size_t)next->size);
                total += next++->size;
            }
            offsets[row + 1] = (int32_t)total;
        }
        c->rows -= some;
        *chunk = here;
        done += some;
    }
    return there < 0 ? -1 : done;
}
