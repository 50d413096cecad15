/* Running totals of groups, added to in place: exact sums, counts, and least values.

   Theory of operation. The sum of a group is one integer in two's complement, of *width* 64-bit words, the lowest
   first; it counts units of 2**unit. One width and one unit hold for all groups of a column. A double is its
   mantissa, an integer below 2**53, shifted by its exponent less the unit; a product is that of two mantissas.
   So every addition is exact. The caller looks at the exponents of a batch first. It chooses the unit below
   the lowest bit of every value, and the width so that no sum of this many values can leave it. So no row is
   checked. When a later batch needs more, `gm_totals_moved` moves the sums to a finer unit or to more words.

   At the end a sum becomes digits in base 2**32, each in [-2**31, 2**31): see worker_service/kernels/exact/limbs.py. */
#include "gristmill.h"

#define MAGNITUDE UINT64_C(0x7FFFFFFFFFFFFFFF)
#define HIDDEN_BIT (UINT64_C(1) << 52)

typedef unsigned __int128 u128;

/* The total of a later row is fetched before its turn: of more groups than a cache holds, most are not there. */
#define AHEAD 16
#define FETCH_AHEAD(i)                                                                                        \
    if (i + AHEAD < count)                                                                                    \
    __builtin_prefetch(totals + codes[i + AHEAD] * width, 1)

/* The size and the exponent of a finite double: its value is ± mantissa * 2**exponent. */
static inline uint64_t split(uint64_t bits, int64_t *exponent) {
    uint64_t field = bits >> 52 & 0x7FF, normal = field != 0;
    *exponent = (int64_t)(field + !normal) - 1075;
    return (bits & (HIDDEN_BIT - 1)) | normal << 52;
}

/* total += ± size * 2**shift, for a negative one with *sign* all ones. No bit leaves *width* words, which is a
   constant at most calls. */
static inline void add_shifted(uint64_t *total, int64_t width, u128 size, int64_t shift, uint64_t sign) {
    if (width == 1) {
        total[0] += (((uint64_t)size << shift) ^ sign) - sign;
        return;
    }
    if (width == 2) {
        u128 wide = (u128)(__int128)(int64_t)sign, sum;
        memcpy(&sum, total, 16);
        sum += ((size << shift) ^ wide) - wide;
        memcpy(total, &sum, 16);
        return;
    }
    int64_t word = shift >> 6, bit = shift & 63;
    u128 low = (u128)(uint64_t)size << bit, high = (u128)(uint64_t)(size >> 64) << bit;
    uint64_t parts[3] = {(uint64_t)low, (uint64_t)(low >> 64) | (uint64_t)high, (uint64_t)(high >> 64)};
    uint64_t carry = sign & 1;
    if (width <= 4) {
        uint64_t placed[4 + 3] = {0};
        memcpy(placed + word, parts, sizeof parts);
        for (int64_t i = 0; i < width; i++) {
            u128 sum = (u128)total[i] + (placed[i] ^ sign) + carry;
            total[i] = (uint64_t)sum;
            carry = (uint64_t)(sum >> 64);
        }
        return;
    }
    for (int64_t i = word; i < width; i++) {
        uint64_t part = i - word < 3 ? parts[i - word] : 0;
        u128 sum = (u128)total[i] + (part ^ sign) + carry;
        total[i] = (uint64_t)sum;
        carry = (uint64_t)(sum >> 64);
        if (i - word >= 2 && carry == (sign & 1))
            return; /* the words above stay as they are */
    }
}

/* Calls *loop* with the width as a constant where that pays. */
#define WITH_WIDTH(loop, width, ...)                                                                          \
    do {                                                                                                      \
        if (width == 1)                                                                                       \
            loop(__VA_ARGS__, 1);                                                                             \
        else if (width == 2)                                                                                  \
            loop(__VA_ARGS__, 2);                                                                             \
        else if (width == 3)                                                                                  \
            loop(__VA_ARGS__, 3);                                                                             \
        else if (width == 4)                                                                                  \
            loop(__VA_ARGS__, 4);                                                                             \
        else                                                                                                  \
            loop(__VA_ARGS__, width);                                                                         \
    } while (0)

/* The magnitudes of doubles, as bits: found[0] is the largest; found[1] the smallest that is not zero, less 1, or
   2**63 - 1 if all are zero. */
GM_EXPORT void gm_double_range(const uint64_t *bits, int64_t count, int64_t *found) {
    int64_t most = 0, least = (int64_t)MAGNITUDE;
    for (int64_t i = 0; i < count; i++) {
        int64_t size = (int64_t)(bits[i] & MAGNITUDE), below = (int64_t)((uint64_t)(size - 1) & MAGNITUDE);
        most = size > most ? size : most;
        least = below < least ? below : least;
    }
    found[0] = most;
    found[1] = least;
}

static inline void add_doubles(const int64_t *codes, const uint64_t *bits, int64_t count, int64_t unit,
                               uint64_t *totals, int64_t width) {
    for (int64_t i = 0; i < count; i++) {
        FETCH_AHEAD(i);
        int64_t exponent;
        uint64_t size = split(bits[i], &exponent), sign = (uint64_t)((int64_t)bits[i] >> 63);
        int64_t shift = (exponent - unit) & -(int64_t)(size != 0);
        add_shifted(totals + codes[i] * width, width, size, shift, sign);
    }
}

/* totals[codes[i]] += values[i], finite doubles. Their lowest bits are not below 2**unit. */
GM_EXPORT void gm_add_doubles(const int64_t *codes, const uint64_t *values, int64_t count, int64_t unit,
                              uint64_t *totals, int64_t width) {
    WITH_WIDTH(add_doubles, width, codes, values, count, unit, totals);
}

static inline uint64_t size_of(int64_t number) {
    return number < 0 ? -(uint64_t)number : (uint64_t)number;
}

static inline void add_ints(const int64_t *codes, const int64_t *values, int64_t count, uint64_t *totals,
                            int64_t width) {
    for (int64_t i = 0; i < count; i++) {
        FETCH_AHEAD(i);
        add_shifted(totals + codes[i] * width, width, size_of(values[i]), 0, (uint64_t)(values[i] >> 63));
    }
}

/* totals[codes[i]] += values[i], for a unit of 1. */
GM_EXPORT void gm_add_ints(const int64_t *codes, const int64_t *values, int64_t count, uint64_t *totals,
                           int64_t width) {
    if (width == 1)
        for (int64_t i = 0; i < count; i++)
            totals[codes[i]] += (uint64_t)values[i];
    else
        WITH_WIDTH(add_ints, width, codes, values, count, totals);
}

static inline void add_words(const int64_t *codes, const uint64_t *values, int64_t count, uint64_t *totals,
                             int64_t width) {
    for (int64_t i = 0; i < count; i++) {
        FETCH_AHEAD(i);
        uint64_t sign = (uint64_t)((int64_t)values[2 * i + 1] >> 63);
        u128 wide = (u128)(__int128)(int64_t)sign, value = (u128)values[2 * i + 1] << 64 | values[2 * i];
        add_shifted(totals + codes[i] * width, width, (value ^ wide) - wide, 0, sign);
    }
}

/* totals[codes[i]] += values[i], integers of two words, for a unit of 1 and a width of at least 2. */
GM_EXPORT void gm_add_words(const int64_t *codes, const uint64_t *values, int64_t count, uint64_t *totals,
                            int64_t width) {
    WITH_WIDTH(add_words, width, codes, values, count, totals);
}

static inline uint64_t factor(const uint64_t *values, int64_t i, int is_double, int64_t *exponent) {
    if (is_double)
        return split(values[i], exponent);
    *exponent = 0;
    return size_of((int64_t)values[i]);
}

static inline void add_products_of(const int64_t *codes, const uint64_t *left, const uint64_t *right,
                                   int left_double, int right_double, int64_t count, int64_t unit,
                                   uint64_t *totals, int64_t width) {
    for (int64_t i = 0; i < count; i++) {
        FETCH_AHEAD(i);
        int64_t a, b;
        u128 size = (u128)factor(left, i, left_double, &a) * factor(right, i, right_double, &b);
        int64_t shift = (a + b - unit) & -(int64_t)(size != 0);
        add_shifted(totals + codes[i] * width, width, size, shift, (uint64_t)((int64_t)(left[i] ^ right[i]) >> 63));
    }
}

static inline void add_products(const int64_t *codes, const uint64_t *left, const uint64_t *right, int left_double,
                                int right_double, int64_t count, int64_t unit, uint64_t *totals, int64_t width) {
    if (left_double && right_double)
        add_products_of(codes, left, right, 1, 1, count, unit, totals, width);
    else
        add_products_of(codes, left, right, left_double, right_double, count, unit, totals, width);
}

/* totals[codes[i]] += left[i] * right[i], each a finite double or an int64. Their lowest bits together are not
   below 2**unit; that of an integer is 1. *left* may be *right*. */
GM_EXPORT void gm_add_products(const int64_t *codes, const uint64_t *left, const uint64_t *right,
                               int64_t left_double, int64_t right_double, int64_t count, int64_t unit,
                               uint64_t *totals, int64_t width) {
    if (width == 1 && !left_double && !right_double)
        for (int64_t i = 0; i < count; i++)
            totals[codes[i]] += left[i] * right[i];
    else
        WITH_WIDTH(add_products, width, codes, left, right, left_double != 0, right_double != 0, count, unit, totals);
}

/* The sums of *size* groups in a unit that is finer by 2**shift, or in more words. *to* is zero. */
GM_EXPORT void gm_totals_moved(const uint64_t *from, int64_t from_width, int64_t size, int64_t shift, uint64_t *to,
                               int64_t to_width) {
    int64_t word = shift >> 6, bit = shift & 63;
    for (int64_t group = 0; group < size; group++, from += from_width, to += to_width) {
        uint64_t extended = (uint64_t)((int64_t)from[from_width - 1] >> 63), below = 0;
        for (int64_t i = word; i < to_width; i++) {
            uint64_t part = i - word < from_width ? from[i - word] : extended;
            to[i] = bit ? part << bit | below >> (64 - bit) : part;
            below = part;
        }
    }
}

/* The digits in base 2**32 of totals * 2**shift, 0 <= shift < 32: 2 * width + 2 rows of *size* digits, the lowest
   first. */
GM_EXPORT void gm_totals_digits(const uint64_t *totals, int64_t width, int64_t size, int64_t shift,
                                int32_t *digits) {
    for (int64_t group = 0; group < size; group++, totals += width) {
        uint64_t below = 0;
        int64_t carry = 0;
        for (int64_t i = 0; i <= width; i++) {
            uint64_t part = i < width ? totals[i] : (uint64_t)((int64_t)totals[width - 1] >> 63);
            uint64_t word = shift ? part << shift | below >> (64 - shift) : part;
            below = part;
            for (int64_t half = 0; half < 2; half++) {
                int64_t digit = (int64_t)(half ? word >> 32 : word & 0xFFFFFFFF) + carry;
                carry = digit >= INT64_C(1) << 31;
                digits[(2 * i + half) * size + group] = (int32_t)digit;
            }
        }
    }
}

/* counts[codes[i]] += 1. */
GM_EXPORT void gm_add_counts(const int64_t *codes, int64_t count, int64_t *counts) {
    for (int64_t i = 0; i < count; i++)
        counts[codes[i]]++;
}

/* least[codes[i]] = the lesser of itself and values[i] ^ flip. */
GM_EXPORT void gm_take_least(const int64_t *codes, const int64_t *values, int64_t count, int64_t flip,
                             int64_t *least) {
    for (int64_t i = 0; i < count; i++) {
        int64_t value = values[i] ^ flip, now = least[codes[i]];
        least[codes[i]] = value < now ? value : now;
    }
}
