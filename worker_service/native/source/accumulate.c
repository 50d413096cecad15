/* Running totals of groups, added to in place: exact sums, counts, and largest values.

   Theory of operation. The sum of a group is one integer in two's complement, of *width* 64-bit words, the lowest
   first; it counts units of 2**unit. One width and one unit hold for all groups of a column. A double is its
   mantissa, an integer below 2**53, shifted by its exponent less the unit; a product is that of two mantissas.
   So every addition is exact. The caller looks at the exponents of a batch first. It chooses the unit below
   the lowest bit of every value, and the width so that no sum of this many values can leave it. So no row is
   checked. When a later batch needs more, `gm_totals_moved` moves the sums to a finer unit or to more words.

   At the end a sum becomes digits in base 2**32, each in [-2**31, 2**31): see worker_service/kernels/exact/limbs.py.

   A step says how to add to one total of a group. All totals of a group lie side by side, and rows
   are added in blocks. So the totals of a row's group are fetched once, and are in the cache for the other steps. */
#include "gristmill.h"

#define MAGNITUDE UINT64_C(0x7FFFFFFFFFFFFFFF)
#define HIDDEN_BIT (UINT64_C(1) << 52)

typedef unsigned __int128 u128;

#define BLOCK 512

enum { ROWS, INTS, DOUBLES, WORDS, LARGEST, PRODUCTS };

typedef struct {
    int64_t kind;                 /* PRODUCTS: 1 more if *right* has doubles, 2 more if *left* has */
    uint64_t *totals;             /* those of a group begin at totals + group * stride */
    int64_t stride, width;        /* in words */
    const uint64_t *left, *right; /* the values of the rows */
    int64_t unit;                 /* LARGEST: the bits that each value is changed by */
    int64_t high;                 /* DOUBLES: the size of each is at most 2**high */
} Step;

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

/* The least and the most of *count* integers, of which there is one at least. */
GM_EXPORT void gm_int_range(const int64_t *values, int64_t count, int64_t *found) {
    int64_t least = values[0], most = values[0];
    for (int64_t i = 1; i < count; i++) {
        least = values[i] < least ? values[i] : least;
        most = values[i] > most ? values[i] : most;
    }
    found[0] = least;
    found[1] = most;
}

/* 1.5 * 2**exponent, of a normal double. */
static inline double one_and_a_half(int64_t exponent) {
    uint64_t bits = (uint64_t)(exponent + 1023) << 52 | UINT64_C(1) << 51;
    double made;
    memcpy(&made, &bits, 8);
    return made;
}

static inline int64_t bits_of(double number) {
    int64_t bits;
    memcpy(&bits, &number, 8);
    return bits;
}

/* Whether add_parts can add the values: each part has at most 51 bits, and no part is subnormal. */
static int have_parts(const Step *step) {
    return step->width <= 2 && step->high - step->unit <= 100 && step->unit >= -960 && step->high <= 900;
}

/* Each value is high * 2**half + low units. Its sum with a constant, whose last bit has the value 2**half units, is
   rounded to *high* (Dekker, 1971); the rest is *low*, without an error. So no bits are shifted by a number of
   places that is the value's own, and the parts of a block are found side by side. */
SPECIALIZED void add_parts(const int64_t *codes, int64_t start, int64_t end, Step step, int64_t width) {
    const int64_t half = step.high > step.unit ? (step.high - step.unit + 1) / 2 : 1;
    const double above = one_and_a_half(52 + step.unit + half), below = one_and_a_half(52 + step.unit);
    int64_t highs[BLOCK], lows[BLOCK];
    for (int64_t i = 0; i < end - start; i++) {
        double value, sum, rest;
        memcpy(&value, step.left + start + i, 8);
        sum = value + above;
        rest = value - (sum - above);
        highs[i] = bits_of(sum) - bits_of(above);
        lows[i] = bits_of(rest + below) - bits_of(below);
    }
    for (int64_t i = 0; i < end - start; i++) {
        uint64_t *total = step.totals + codes[start + i] * step.stride;
        if (width == 1) {
            total[0] += ((uint64_t)highs[i] << half) + (uint64_t)lows[i];
        } else {
            u128 sum;
            memcpy(&sum, total, 16);
            sum += ((u128)(__int128)highs[i] << half) + (u128)(__int128)lows[i];
            memcpy(total, &sum, 16);
        }
    }
}

SPECIALIZED void add_doubles(const int64_t *codes, int64_t start, int64_t end, Step step, int64_t width) {
    for (int64_t i = start; i < end; i++) {
        int64_t exponent;
        uint64_t bits = step.left[i], size = split(bits, &exponent), sign = (uint64_t)((int64_t)bits >> 63);
        int64_t shift = (exponent - step.unit) & -(int64_t)(size != 0);
        add_shifted(step.totals + codes[i] * step.stride, width, size, shift, sign);
    }
}

static inline uint64_t size_of(uint64_t number) {
    return (int64_t)number < 0 ? -number : number;
}

SPECIALIZED void add_ints(const int64_t *codes, int64_t start, int64_t end, Step step, int64_t width) {
    for (int64_t i = start; i < end; i++) {
        uint64_t value = step.left[i], *total = step.totals + codes[i] * step.stride;
        if (width == 1)
            *total += value;
        else
            add_shifted(total, width, size_of(value), 0, (uint64_t)((int64_t)value >> 63));
    }
}

SPECIALIZED void add_words(const int64_t *codes, int64_t start, int64_t end, Step step, int64_t width) {
    for (int64_t i = start; i < end; i++) {
        uint64_t low = step.left[2 * i], high = step.left[2 * i + 1], sign = (uint64_t)((int64_t)high >> 63);
        u128 wide = (u128)(__int128)(int64_t)sign, value = (u128)high << 64 | low;
        add_shifted(step.totals + codes[i] * step.stride, width, (value ^ wide) - wide, 0, sign);
    }
}

SPECIALIZED uint64_t factor(const uint64_t *values, int64_t i, int is_double, int64_t *exponent) {
    if (is_double)
        return split(values[i], exponent);
    *exponent = 0;
    return size_of(values[i]);
}

SPECIALIZED void add_products_of(const int64_t *codes, int64_t start, int64_t end, Step step, int left_double,
                                 int right_double, int64_t width) {
    for (int64_t i = start; i < end; i++) {
        uint64_t *total = step.totals + codes[i] * step.stride;
        if (width == 1 && !left_double && !right_double) {
            *total += step.left[i] * step.right[i];
            continue;
        }
        int64_t a, b;
        u128 size = (u128)factor(step.left, i, left_double, &a) * factor(step.right, i, right_double, &b);
        int64_t shift = (a + b - step.unit) & -(int64_t)(size != 0);
        add_shifted(total, width, size, shift, (uint64_t)((int64_t)(step.left[i] ^ step.right[i]) >> 63));
    }
}

SPECIALIZED void add_products(const int64_t *codes, int64_t start, int64_t end, Step step, int64_t width) {
    int64_t doubles = step.kind - PRODUCTS;
    if (doubles == 3)
        add_products_of(codes, start, end, step, 1, 1, width);
    else if (doubles)
        add_products_of(codes, start, end, step, doubles >> 1, doubles & 1, width);
    else
        add_products_of(codes, start, end, step, 0, 0, width);
}

static void add_block(const int64_t *codes, int64_t start, int64_t end, const Step step) {
    switch (step.kind) {
    case ROWS:
        for (int64_t i = start; i < end; i++)
            step.totals[codes[i] * step.stride]++;
        return;
    case INTS:
        WITH_WIDTH(add_ints, step.width, codes, start, end, step);
        return;
    case DOUBLES:
        if (have_parts(&step) && step.width == 1)
            add_parts(codes, start, end, step, 1);
        else if (have_parts(&step))
            add_parts(codes, start, end, step, 2);
        else
            WITH_WIDTH(add_doubles, step.width, codes, start, end, step);
        return;
    case WORDS:
        WITH_WIDTH(add_words, step.width, codes, start, end, step);
        return;
    case LARGEST:
        for (int64_t i = start; i < end; i++) {
            uint64_t value = step.left[i] ^ (uint64_t)step.unit, *total = step.totals + codes[i] * step.stride;
            *total = value > *total ? value : *total;
        }
        return;
    default:
        WITH_WIDTH(add_products, step.width, codes, start, end, step);
    }
}

/* Adds *count* rows to the totals of their groups, by each of *size* steps:

   ROWS      total += 1
   INTS      total += left[i], an int64, for a unit of 1
   DOUBLES   total += left[i], a finite double, at most 2**high in size. The lowest bit of none is below 2**unit.
   WORDS     total += left[i], an integer of two words, for a unit of 1 and a width of at least 2
   LARGEST   total = the larger of itself and left[i] ^ unit, without a sign
   PRODUCTS  total += left[i] * right[i], each a finite double or an int64. The lowest bits of none are, together,
             below 2**unit; that of an integer is 1. *left* may be *right*. */
GM_EXPORT void gm_add_rows(const int64_t *codes, int64_t count, const Step *steps, int64_t size) {
    for (int64_t start = 0; start < count; start += BLOCK) {
        int64_t end = count - start < BLOCK ? count : start + BLOCK;
        for (int64_t i = 0; i < size; i++)
            add_block(codes, start, end, steps[i]);
    }
}

/* The totals of *size* groups in a unit that is finer by 2**shift, or in more words. *to* is zero. The strides tell
   how many words lie from one group to the next. */
GM_EXPORT void gm_totals_moved(const uint64_t *from, int64_t from_stride, int64_t from_width, int64_t size,
                               int64_t shift, uint64_t *to, int64_t to_stride, int64_t to_width) {
    int64_t word = shift >> 6, bit = shift & 63;
    for (int64_t group = 0; group < size; group++, from += from_stride, to += to_stride) {
        uint64_t extended = (uint64_t)((int64_t)from[from_width - 1] >> 63), below = 0;
        for (int64_t i = word; i < to_width; i++) {
            uint64_t part = i - word < from_width ? from[i - word] : extended;
            to[i] = bit ? part << bit | below >> (64 - bit) : part;
            below = part;
        }
    }
}

/* The digits in base 2**32 of totals * 2**shift, 0 <= shift < 32: 2 * width + 2 rows of *size* digits, the lowest
   first. *stride* as above. */
GM_EXPORT void gm_totals_digits(const uint64_t *totals, int64_t stride, int64_t width, int64_t size, int64_t shift,
                                int32_t *digits) {
    for (int64_t group = 0; group < size; group++, totals += stride) {
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
