/* The separators of CSV, found 64 octets at a time.

   Theory of operation. 64 bytes are compared at a time: a mask of bits for each special octet. A byte is inside
   quotes if an odd number of quotes lies before it, which is a prefix sum of bits (exclusive or), with a carry
   from the 64 bytes before. The scanner of the reader has proven that for every quote, and has masked all
   others: see worker_service/readers/csv/scan.py. Delimiters and line feeds outside quotes are the separators.
   Their positions are written in runs of eight, whether there are as many or not, so that the loop seldom
   branches. What else a block holds is told by flags. */
#ifndef GRISTMILL_SCAN_H
#define GRISTMILL_SCAN_H

#include "fields.h"
#include "wide.h"

/* What is looked for. */
typedef struct {
    octets delimiter, quote, feed, carriage, zero;
    int quotes; /* whether there are any */
} Special;

/* What the octets so far were. */
typedef struct {
    uint64_t inside, high; /* all bits set: within quotes; any bit set: an octet was not ASCII */
    uint64_t returned;     /* the last octet is a carriage return outside quotes */
    int64_t feeds;         /* all line feeds */
    int32_t flags;
} Scan;

static inline Special special_octets(int32_t delimiter, int32_t quote) {
    return (Special){wide_octet((uint8_t)delimiter), wide_octet((uint8_t)quote), wide_octet('\n'),
                     wide_octet('\r'), wide_octet(0), quote >= 0};
}

static inline uint64_t prefix_xor(uint64_t bits) {
    bits ^= bits << 1;
    bits ^= bits << 2;
    bits ^= bits << 4;
    bits ^= bits << 8;
    bits ^= bits << 16;
    return bits ^ bits << 32;
}

/* Takes note of octets that are rare; returns which octets are within quotes. *keep* are those of the block. */
static inline uint64_t scan_rare(wide w, uint64_t separators, uint64_t feeds, uint64_t keep, const Special *special,
                                 Scan *scan) {
    const uint64_t odd = wide_at_most(w, special->carriage) & ~separators & keep;
    const uint64_t quotes = special->quotes ? wide_equal(w, special->quote) & keep : 0;
    uint64_t within = scan->inside;
    scan->high |= wide_high(w);
    if (quotes) {
        scan->flags |= F_QUOTE;
        within ^= prefix_xor(quotes);
        scan->inside = (uint64_t)((int64_t)within >> 63);
    }
    if (odd) {
        const uint64_t returns = wide_equal(w, special->carriage) & odd & ~within;
        if (wide_equal(w, special->zero) & odd)
            scan->flags |= F_NUL;
        if (returns) {
            scan->flags |= F_CARRIAGE_RETURN;
            scan->returned = returns >> 63;
            if (returns & ~(feeds >> 1) & (UINT64_MAX >> 1))
                scan->flags |= F_LONE_RETURN;
        }
    }
    return within;
}

/* The separators among the first *left* octets at *at*, 64 at most; *feeds* gets those that are line feeds. */
static inline uint64_t scan64(const uint8_t *at, int64_t left, const Special *special, Scan *scan,
                              uint64_t *feeds) {
    uint8_t rest[64];
    uint64_t keep = ~UINT64_C(0);
    if (UNLIKELY(left < 64)) {
        memset(rest, ' ', 64); /* may be the delimiter: see *keep* */
        memcpy(rest, at, (size_t)left);
        at = rest;
        keep = (UINT64_C(1) << left) - 1;
    }
    const wide w = wide_load(at);
    const wide is_feed = wide_is(w, special->feed), is_separator = wide_or(wide_is(w, special->delimiter), is_feed);
    /* What is neither text nor a separator, and what is not ASCII: seldom there. */
    wide rare = wide_or(wide_without(wide_upto(w, special->carriage), is_separator), w);
    if (special->quotes)
        rare = wide_or(rare, wide_is(w, special->quote));
    const uint64_t all_feeds = wide_high(is_feed);
    uint64_t separators = wide_high(is_separator) & keep;
    scan->feeds += __builtin_popcountll(all_feeds);
    if (UNLIKELY(scan->returned && !(all_feeds & 1)))
        scan->flags |= F_LONE_RETURN;
    scan->returned = 0;
    uint64_t within = scan->inside;
    if (UNLIKELY(wide_any_high(rare)))
        within = scan_rare(w, separators, all_feeds, keep, special, scan);
    *feeds = all_feeds & ~within;
    return separators & ~within;
}

/* The flags of all octets so far; *ended*: nothing follows them. */
static inline int32_t scan_flags(const Scan *scan, int ended) {
    return scan->flags | (ended && scan->returned ? F_LONE_RETURN : 0) | (scan->high ? F_HIGH : 0);
}

/* The number of zeros below the lowest bit that is set; any number below 65 for 0, without a branch. */
static inline int32_t zeros_below(uint64_t bits) {
#ifdef __BMI__
    return (int32_t)__builtin_ia32_tzcnt_u64(bits);
#else
    return __builtin_ctzll(bits | UINT64_C(1) << 63);
#endif
}

/* Writes *at* plus the number of each bit that is set; returns how many they are. Up to 64 are written. */
static inline int64_t write_positions(int32_t at, uint64_t bits, int32_t *out) {
    const int64_t count = __builtin_popcountll(bits);
    for (int64_t done = 0; done < count; done += 8)
        for (int i = 0; i < 8; i++) {
            *out++ = at + zeros_below(bits);
            bits &= bits - 1;
        }
    return count;
}

#endif
