/* The grammar of JSON (RFC 8259) in one line: each function passes one part of it.

   Each takes where the part begins, and returns where it ends, or NULL if it is none. A line ends before its line
   feed, or where the data end. Eight octets are read at a time as long as they lie in the data, even beyond the end of
   the line: a line feed is no digit and no part of a string, so no part goes over it. */
#ifndef GRISTMILL_JSON_H
#define GRISTMILL_JSON_H

#include "fields.h"

/* Kinds of values, as bits. */
enum { STRING = 1, NUMBER = 2, BOOL = 4, EMPTY = 8, NESTED = 16 };

enum { MOST_DEPTH = 64 };

/* The end of a line; octets before *limit* may be read. */
typedef struct {
    const uint8_t *end, *limit;
} Line;

static inline const uint8_t *pass_space(Line line, const uint8_t *at) {
    while (at < line.end && (*at == ' ' || *at == '\t' || *at == '\r'))
        at++;
    return at;
}

static inline int is_next(Line line, const uint8_t *at, uint8_t octet) { return at < line.end && *at == octet; }

static inline int is_hex(uint8_t octet) {
    return (octet >= '0' && octet <= '9') || ((octet | 32) >= 'a' && (octet | 32) <= 'f');
}

static inline const uint8_t *pass_escape(Line line, const uint8_t *at) {
    if (line.end - at < 2)
        return NULL;
    if (at[1] != 'u')
        return memchr("\"\\/bfnrt", at[1], 8) ? at + 2 : NULL;
    if (line.end - at < 6 || !is_hex(at[2]) || !is_hex(at[3]) || !is_hex(at[4]) || !is_hex(at[5]))
        return NULL;
    return at + 6;
}

/* Octets of a word below 0x20, quotes and backslashes get their high bit; a borrow marks others above such. */
static inline uint64_t special(uint64_t word) {
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = UINT64_C(0x8080808080808080);
    const uint64_t quote = word ^ ones * '"', slash = word ^ ones * '\\';
    return (((word - ones * 0x20) & ~word) | ((quote - ones) & ~quote) | ((slash - ones) & ~slash)) & tops;
}

/* *escapes* is set if there are any. */
static inline const uint8_t *pass_string(Line line, const uint8_t *at, int *escapes) {
    for (at++;;) {
        uint64_t marks = 0;
        for (; line.limit - at >= 8 && !(marks = special(load64(at))); at += 8)
            ;
        if (LIKELY(marks != 0))
            at += __builtin_ctzll(marks) >> 3;
        else
            while (at < line.end && *at != '"' && *at != '\\' && *at >= 0x20)
                at++;
        if (UNLIKELY(at >= line.end))
            return NULL;
        if (LIKELY(*at == '"'))
            return at + 1;
        *escapes = 1;
        if (*at != '\\' || !(at = pass_escape(line, at)))
            return NULL;
    }
}

/* The end of the digits, of which there may be none. */
static inline const uint8_t *pass_digits(Line line, const uint8_t *at) {
    while (LIKELY(line.limit - at >= 8)) {
        const int64_t count = digits_before(load64(at));
        at += count;
        if (LIKELY(count < 8))
            return at;
    }
    while (at < line.end && *at >= '0' && *at <= '9')
        at++;
    return at;
}

static inline const uint8_t *pass_number(Line line, const uint8_t *at) {
    if (is_next(line, at, '-')) /* a branch: all that follows would wait for a sum */
        at++;
    const uint8_t *first = at;
    at = pass_digits(line, at);
    if (UNLIKELY(at == first || (*first == '0' && at - first > 1)))
        return NULL;
    if (is_next(line, at, '.')) {
        first = at + 1;
        at = pass_digits(line, first);
        if (UNLIKELY(at == first))
            return NULL;
    }
    if (UNLIKELY(at < line.end && (*at | 32) == 'e')) {
        at++;
        at += is_next(line, at, '+') || is_next(line, at, '-');
        first = at;
        at = pass_digits(line, first);
        return at == first ? NULL : at;
    }
    return at;
}

static inline const uint8_t *pass_word(Line line, const uint8_t *at, const char *word, int64_t size) {
    return line.end - at < size || memcmp(at, word, (size_t)size) ? NULL : at + size;
}

/* A value that is no array and no object, of which *kind* gets the kind, 0 for null. *escapes* as pass_string. */
static inline const uint8_t *pass_scalar(Line line, const uint8_t *at, int *kind, int *escapes) {
    if (UNLIKELY(at >= line.end))
        return NULL;
    if (*at == '"') {
        const uint8_t *const end = pass_string(line, at, escapes);
        *kind = end == at + 2 ? STRING | EMPTY : STRING;
        return end;
    }
    if (LIKELY(*at <= '9')) {
        *kind = NUMBER;
        return pass_number(line, at);
    }
    switch (*at) {
    case 'n':
        *kind = 0;
        return pass_word(line, at, "null", 4);
    case 't':
        *kind = BOOL;
        return pass_word(line, at, "true", 4);
    case 'f':
        *kind = BOOL;
        return pass_word(line, at, "false", 5);
    }
    return NULL;
}

/* The key of a member, and the colon. */
static inline const uint8_t *pass_key(Line line, const uint8_t *at) {
    int escapes;
    if (!is_next(line, at, '"') || !(at = pass_string(line, at, &escapes)))
        return NULL;
    at = pass_space(line, at);
    return is_next(line, at, ':') ? at + 1 : NULL;
}

/* An array or object of at most MOST_DEPTH levels. */
static const uint8_t *pass_nested(Line line, const uint8_t *at) {
    uint64_t objects = 0; /* a bit for each level, the innermost lowest: whether it is an object */
    int depth = 0, kind, escapes;
    for (;;) {
        /* A value begins here. */
        at = pass_space(line, at);
        const int is_object = is_next(line, at, '{');
        if (is_object || is_next(line, at, '[')) {
            if (++depth > MOST_DEPTH)
                return NULL;
            objects = objects << 1 | (uint64_t)is_object;
            at = pass_space(line, at + 1);
            if (!is_next(line, at, is_object ? '}' : ']')) {
                if (is_object && !(at = pass_key(line, at)))
                    return NULL;
                continue;
            }
        } else if (!(at = pass_scalar(line, at, &kind, &escapes))) {
            return NULL;
        }
        /* A value has ended here, or an empty array or object ends. */
        for (;; objects >>= 1) {
            at = pass_space(line, at);
            if (is_next(line, at, ','))
                break;
            if (!is_next(line, at, objects & 1 ? '}' : ']'))
                return NULL;
            at++;
            if (--depth == 0)
                return at;
        }
        at = pass_space(line, at + 1);
        if (objects & 1 && !(at = pass_key(line, at)))
            return NULL;
    }
}

static inline const uint8_t *pass_value(Line line, const uint8_t *at, int *kind, int *escapes) {
    if (UNLIKELY(at < line.end && (*at | 32) == '{')) { /* or an opening bracket */
        *kind = NESTED;
        return pass_nested(line, at);
    }
    return pass_scalar(line, at, kind, escapes);
}

#endif
