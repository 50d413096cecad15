/* Doubles as integers of 32 bits over a power of ten, and back.

   Theory of operation. A double with few decimals is the quotient nearest to such a fraction. Division rounds once,
   so the same fraction gives the same double anywhere. A product with the power may round: the integer nearest to
   it is a guess, which the division proves. */
#include "gristmill.h"

#define INTEGERS 6755399441055744.0 /* 1.5 * 2**52: adding it rounds to an integer */
#define BOUND 2147483648.0

/* whole[i] is the integer that makes values[i] when *power* divides it. Returns whether each value has one, to the
   bit; else *whole* means nothing. */
GM_EXPORT int64_t gm_scaled(const double *values, int64_t count, double power, int32_t *whole) {
    int64_t wrong = 0;
    for (int64_t i = 0; i < count; i++) {
        double value = values[i], scaled = value * power;
        scaled = scaled > -BOUND && scaled < BOUND ? scaled + INTEGERS - INTEGERS : 0.0;
        scaled = scaled > -BOUND && scaled < BOUND ? scaled : 0.0;
        whole[i] = (int32_t)scaled;
        double again = (double)whole[i] / power;
        int64_t bits, found;
        memcpy(&bits, &value, 8);
        memcpy(&found, &again, 8);
        wrong |= bits ^ found;
    }
    return wrong == 0;
}

/* The inverse. */
GM_EXPORT void gm_unscaled(const int32_t *whole, int64_t count, double power, double *values) {
    for (int64_t i = 0; i < count; i++)
        values[i] = (double)whole[i] / power;
}
