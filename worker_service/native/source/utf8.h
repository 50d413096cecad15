/* The encoding of text. */
#ifndef GRISTMILL_UTF8_H
#define GRISTMILL_UTF8_H

#include "gristmill.h"

/* The end of the octets that are ASCII, or up to seven before it. */
static inline const uint8_t *pass_ascii(const uint8_t *at, const uint8_t *end) {
    while (end - at >= 8 && !(load64(at) & UINT64_C(0x8080808080808080)))
        at += 8;
    return at;
}

static inline int is_ascii(const uint8_t *at, int64_t size) {
    const uint8_t *const end = at + size;
    for (at = pass_ascii(at, end); at < end && *at < 0x80;)
        at++;
    return at == end;
}

/* Whether all octets are UTF-8 as RFC 3629 has it: no surrogates, nothing overlong, at most U+10FFFF. */
static inline int is_utf8(const uint8_t *at, int64_t size) {
    const uint8_t *const end = at + size;
    while (at < end) {
        if (*at < 0x80) {
            at = pass_ascii(at + 1, end);
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

#endif
