/* Finds the fields of a block of CSV records, and proves its quotes. */
#include "scan.h"

/* The separators outside quotes of data[0 .. size), which begins and ends with a whole record.

   found[0] is -1, found[1 ..] are the positions, ascending. Behind a last record without a line feed, *size* is
   one more. lines[0] is 0, lines[i] is the index in *found* of the end of line i, counted from 1. *room* is the
   length of both: where it may not suffice, the result is -1. *quote* is an octet, or negative for none.
   told[0 .. 3) are the number of separators, of lines, and of all line feeds; the result has a bit for a
   carriage return outside quotes, for one that no line feed follows, for NUL, for an octet that is not ASCII and
   for a quote. *size* is below 2**31 - 64. */
GM_EXPORT int32_t gm_scan(const uint8_t *data, int64_t size, int32_t delimiter, int32_t quote, int32_t *found,
                          int32_t *lines, int64_t found_room, int64_t lines_room, int64_t *told) {
    const Special special = special_octets(delimiter, quote);
    Scan scan = {0};
    int64_t count = 1, ended = 1;
    if (found_room < 66 || lines_room < 66)
        return -1;
    found[0] = -1;
    lines[0] = 0;
    for (int64_t at = 0; at < size; at += 64) {
        uint64_t feed;
        const uint64_t separator = scan64(data + at, size - at, &special, &scan, &feed);
        if (UNLIKELY(count + 72 > found_room || ended + 72 > lines_room))
            return -1;
        for (uint64_t left = feed; left; left &= left - 1) {
            const uint64_t before = (left & (0 - left)) - 1;
            lines[ended++] = (int32_t)(count + __builtin_popcountll(separator & before));
        }
        count += write_positions((int32_t)at, separator, found + count);
    }
    if (size && (found[count - 1] != size - 1 || data[size - 1] != '\n')) {
        lines[ended++] = (int32_t)count;
        found[count++] = (int32_t)size;
    }
    told[0] = count - 1;
    told[1] = ended - 1;
    told[2] = scan.feeds;
    return scan_flags(&scan, 1);
}

/* How many of data[0 .. size) are *octet*. */
GM_EXPORT int64_t gm_count(const uint8_t *data, int64_t size, int32_t octet) {
    const octets o = wide_octet((uint8_t)octet);
    int64_t count = 0, at = 0;
    for (; size - at >= 64; at += 64)
        count += __builtin_popcountll(wide_equal(wide_load(data + at), o));
    for (; at < size; at++)
        count += data[at] == octet;
    return count;
}

/* Whether each quote of data[0 .. size) is where one may open or close: no octet outside quotes that is next to
   one is text. *inside* and *last* are the state and the octet before the first. told[0 .. 2): the state behind
   the last octet, and whether two quotes are neighbours; they mean nothing where the result is 0. The last octet
   is not compared with the one that follows. */
GM_EXPORT int32_t gm_prove(const uint8_t *data, int64_t size, int32_t delimiter, int32_t quote, int32_t inside,
                           int32_t last, int64_t *told) {
    const octets d = wide_octet((uint8_t)delimiter), q = wide_octet((uint8_t)quote);
    const octets f = wide_octet('\n'), c = wide_octet('\r');
    uint64_t within = inside ? ~UINT64_C(0) : 0, after_quote = last == quote, doubled = 0;
    /* Whether the octet before is text outside quotes. */
    uint64_t text = !inside && last != delimiter && last != quote && last != '\n' && last != '\r';
    uint8_t rest[64];
    for (int64_t at = 0; at < size; at += 64) {
        const uint8_t *here = data + at;
        uint64_t keep = ~UINT64_C(0);
        if (UNLIKELY(size - at < 64)) {
            memset(rest, 0, 64);
            memcpy(rest, here, (size_t)(size - at));
            here = rest;
            keep = (UINT64_C(1) << (size - at)) - 1;
        }
        const wide w = wide_load(here);
        const uint64_t quotes = wide_equal(w, q) & keep, delimiters = wide_equal(w, d) & keep;
        const uint64_t state = within ^ prefix_xor(quotes), outside = ~state & keep;
        const uint64_t behind = quotes << 1 | after_quote;
        doubled |= quotes & behind;
        const uint64_t near = (behind | quotes >> 1) & outside & ~quotes & ~delimiters;
        if (UNLIKELY(quotes & text))
            return 0;
        if (near && (near & ~wide_equal(w, f) & ~wide_equal(w, c)))
            return 0;
        text = (outside & ~quotes & ~delimiters & ~wide_equal(w, f) & ~wide_equal(w, c)) >> 63;
        within = (uint64_t)((int64_t)state >> 63);
        after_quote = quotes >> 63;
    }
    told[0] = within != 0;
    told[1] = doubled != 0;
    return 1;
}
