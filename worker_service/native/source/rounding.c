/* Exact sums to doubles: see `rounded` in worker_service/kernels/exact/rounding.py, which has the theory. */
#include "gristmill.h"

/* Sum i is that of columns[c][i] * 2**(32 * indexes[c]); digits lie in [-2**31, 2**31), and indexes descend.
   Its nearest double is totals[i] * 2**exponents[i], but for what the range of doubles cuts off. */
GM_EXPORT void gm_rounded(const int64_t *const *columns, const int64_t *indexes, int64_t count, int64_t size,
                          double *totals, int32_t *exponents) {
    for (int64_t i = 0; i < size; i++) {
        int64_t c = 0, leading[3] = {0, 0, 0}, rest = 0;
        while (c + 1 < count && columns[c][i] == 0)
            c++;
        int64_t top = count ? indexes[c] : 0, bottom = top - 2;
        for (; c < count && indexes[c] >= bottom; c++)
            leading[top - indexes[c]] = columns[c][i];
        for (; c < count && rest == 0; c++)
            rest = (columns[c][i] > 0) - (columns[c][i] < 0);
        double a = (double)leading[0] * 0x1p65, b = (double)leading[1] * 0x1p33;
        double high = a + b, shadow = high - a, low = (a - (high - shadow)) + (b - shadow);
        totals[i] = high + (low + (2.0 * (double)leading[2] + (double)rest));
        exponents[i] = (int32_t)(32 * bottom - 1);
    }
}
