/* Doubles from texts, correctly rounded.

   Theory of operation. A literal is w * 10**q with an integer w of at most 19 digits. Clinger (1990): where w is
   at most 2**53 and |q| at most 22, both are doubles, so one rounding is the rounding of the value. Else Lemire
   (2021), "Number parsing at a gigabyte per second": w times a 128-bit approximation of 5**q gives enough bits
   to round, with the proof of Mushtak and Lemire (2023) that no literal needs more. What is not normal, or has
   more digits, is refused. */
#include "fields.h"
#include "powers.h"

static const double TEN[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                             1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
static const uint64_t WHOLE_TEN[] = {1,
                                     10,
                                     100,
                                     1000,
                                     10000,
                                     100000,
                                     1000000,
                                     10000000,
                                     100000000,
                                     1000000000,
                                     UINT64_C(10000000000),
                                     UINT64_C(100000000000),
                                     UINT64_C(1000000000000),
                                     UINT64_C(10000000000000),
                                     UINT64_C(100000000000000),
                                     UINT64_C(1000000000000000),
                                     UINT64_C(10000000000000000),
                                     UINT64_C(100000000000000000),
                                     UINT64_C(1000000000000000000)};
#define EXACT (UINT64_C(1) << 53)

/* w * 10**q, w not 0; 0 if the result is no normal double. */
static int lemire(uint64_t w, int64_t q, double *out) {
    if (q < POWER_LEAST || q > POWER_MOST)
        return 0;
    const int zeros = __builtin_clzll(w);
    w <<= zeros;
    const uint64_t *power = POWERS[q - POWER_LEAST];
    unsigned __int128 product = (unsigned __int128)w * power[0];
    if ((uint64_t)(product >> 64 & 0x1FF) == 0x1FF) /* the lower word may carry into the bits that count */
        product += (uint64_t)((unsigned __int128)w * power[1] >> 64);
    const uint64_t high = (uint64_t)(product >> 64), low = (uint64_t)product;
    const int upper = (int)(high >> 63), shift = upper + 64 - 52 - 3;
    uint64_t mantissa = high >> shift;
    int64_t exponent = ((152170 + 65536) * q >> 16) + 63 + upper - zeros + 1023;
    if (exponent <= 0)
        return 0;
    if (low <= 1 && q >= -4 && q <= 23 && (mantissa & 3) == 1 && mantissa << shift == high)
        mantissa &= ~UINT64_C(1); /* half way between two doubles: to the even one */
    mantissa = (mantissa + (mantissa & 1)) >> 1;
    if (mantissa >= UINT64_C(2) << 52) {
        mantissa = UINT64_C(1) << 52;
        exponent++;
    }
    if (exponent >= 0x7FF)
        return 0;
    const uint64_t bits = (mantissa & ~(UINT64_C(1) << 52)) | (uint64_t)exponent << 52;
    memcpy(out, &bits, 8);
    return 1;
}

static inline int rounded(uint64_t w, int64_t q, double *out) {
    if (LIKELY(w <= EXACT && q >= -22 && q <= 22)) {
        *out = q < 0 ? (double)w / TEN[-q] : (double)w * TEN[q];
        return 1;
    }
    if (!w) {
        *out = 0;
        return 1;
    }
    return lemire(w, q, out);
}

static int is_name(const uint8_t *at, int64_t size, const char *name) {
    int64_t i = 0;
    while (i < size && name[i] && (at[i] | 0x20) == (uint8_t)name[i])
        i++;
    return i == size && !name[i];
}

/* `nan`, `inf` and `infinity`, without a sign. */
static int named(const uint8_t *at, int64_t size, double *out) {
    uint64_t bits = UINT64_C(0x7FF0000000000000);
    if (is_name(at, size, "nan"))
        bits = UINT64_C(0x7FF8000000000000);
    else if (!is_name(at, size, "inf") && !is_name(at, size, "infinity"))
        return 0;
    memcpy(out, &bits, 8);
    return 1;
}

/* An exponent of at most four digits behind `e`. */
static int exponent_of(const uint8_t *at, const uint8_t *end, int64_t *out) {
    int negative = 0;
    if (at < end && (*at == '-' || *at == '+'))
        negative = *at++ == '-';
    if (at == end || end - at > 4)
        return 0;
    int64_t value = 0;
    for (; at < end; at++) {
        if (*at < '0' || *at > '9')
            return 0;
        value = value * 10 + (*at - '0');
    }
    *out = negative ? -value : value;
    return 1;
}

/* 19 digits of w at most, zeros before the first other one not counted. */
static inline int literal(const uint8_t *at, int64_t size, int point, int undeclared, double *out) {
    const uint8_t *const end = at + size;
    const int negative = *at == '-';
    at += negative;
    const uint8_t *const first = at;
    uint64_t w = 0, fraction = 0;
    while (at < end && (uint8_t)(*at - '0') < 10)
        w = w * 10 + (uint64_t)(*at++ - '0'); /* may overflow: then *whole* is above 19 */
    const int64_t whole = at - first;
    if (UNLIKELY(whole > 19 || (whole > 1 && *first == '0')))
        return 0;
    int64_t places = 0, q = 0;
    if (at < end && *at == point) {
        const uint8_t *const behind = ++at;
        const int64_t left = end - at;
        if (LIKELY(left > 0 && left <= 16 && digits16(at, left, &fraction))) {
            at = end;
        } else {
            fraction = 0;
            while (at < end && (uint8_t)(*at - '0') < 10)
                at++;
        }
        places = at - behind;
        if (UNLIKELY(whole + places == 0))
            return 0;
        if (UNLIKELY(places > 16)) {
            int64_t zeros = 0;
            if (!w)
                while (zeros < places && behind[zeros] == '0')
                    zeros++;
            if (places - zeros > 19)
                return 0;
            fraction = 0;
            if (places > zeros && !digits19(behind + zeros, places - zeros, &fraction))
                return 0;
        } else if (UNLIKELY(at != end) && places && !digits16(behind, places, &fraction)) {
            return 0;
        }
        q = -places;
        if (w) {
            if (UNLIKELY(whole + places > 19))
                return 0;
            w = w * WHOLE_TEN[places] + fraction;
        } else {
            w = fraction;
        }
    } else if (UNLIKELY(!whole)) {
        return !negative && named(first, size, out);
    }
    if (UNLIKELY(at < end)) {
        int64_t exponent;
        if ((*at | 0x20) != 'e' || !exponent_of(at + 1, end, &exponent))
            return 0;
        q += exponent;
    } else if (UNLIKELY(w > EXACT && !places && undeclared)) {
        return 0; /* an integer that may be rounded */
    }
    double value;
    if (UNLIKELY(!rounded(w, q, &value)))
        return 0;
    *out = negative ? -value : value;
    return 1;
}

/* The literals of at most seven digits, the mark and at most eight digits: all else is left to `literal`. */
static inline int common(const uint8_t *at, int64_t size, int point, double *out) {
    const int negative = *at == '-';
    at += negative;
    const int64_t whole = digits_before(load64(at)), places = size - negative - whole - 1;
    if (UNLIKELY((uint64_t)(whole - 1) > 6 || (uint64_t)(places - 1) > 7))
        return 0;
    const uint64_t word = leading(at + whole + 1, places);
    if (UNLIKELY(!are_digits(word) || at[whole] != point || (*at == '0' && whole > 1)))
        return 0;
    const uint64_t w = digits8(leading(at, whole)) * WHOLE_TEN[places] + digits8(word);
    const double value = (double)w / TEN[places];
    *out = negative ? -value : value;
    return 1;
}

SPECIALIZED int64_t doubles(const gm_fields *f, double *out, int bare) {
    int64_t missing = 0;
    uint8_t room[PADDED + SPARE];
    const uint8_t *const safe = f->data + f->limit - SPARE;
    const int undeclared = f->strict & S_UNDECLARED;
    memset(f->null, 0, (size_t)f->rows);
    for (int64_t row = 0; row < f->rows; row++) {
        gm_text text = text_of(f, row, bare);
        out[row] = 0;
        if (UNLIKELY(text.size == 0 || (!bare && is_null(f, text)))) {
            f->null[row] = 1;
            missing++;
            continue;
        }
        if (LIKELY(text.at <= safe) && LIKELY(common(text.at, text.size, f->point, out + row)))
            continue;
        int fine = 0;
        if (LIKELY(text.size <= PADDED)) {
            text = readable(f, text, room);
            fine = literal(text.at, text.size, f->point, undeclared, out + row);
        }
        if (UNLIKELY(!fine)) {
            f->null[row] = 1;
            f->refused[row] = 1;
            missing++;
        }
    }
    return missing;
}

/* out[i] is the double of row i; returns the number of rows that are null or refused. */
GM_EXPORT int64_t gm_float64(const gm_fields *fields, double *out) {
    const gm_fields here = *fields; /* no store may change it */
    return is_bare(&here) ? doubles(&here, out, 1) : doubles(&here, out, 0);
}
