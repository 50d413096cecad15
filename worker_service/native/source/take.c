/* Rows of Arrow columns whose values have different lengths, in another order.

   Theory of operation. A string is a run of bytes, a list is a run of items of one width. The new offsets are
   made first, so that the caller can make room for exactly the bytes that follow. */
#include "gristmill.h"

/* starts[i] is where run rows[i] will begin, in items, and starts[count] where all end; the runs lie from
   offsets[row] to offsets[row + 1]. Returns -1 if that is more than an int32 holds, else the end. */
GM_EXPORT int64_t gm_take_offsets(const int32_t *offsets, const int64_t *rows, int64_t count, int32_t *starts) {
    int64_t end = 0;
    for (int64_t i = 0; i < count; i++) {
        starts[i] = (int32_t)end;
        end += offsets[rows[i] + 1] - offsets[rows[i]];
        if (UNLIKELY(end > INT32_MAX))
            return -1;
    }
    starts[count] = (int32_t)end;
    return end;
}

/* Copies the runs; *data* has offsets' last * width bytes at least, and *size* of them; *out* has room for 16
   bytes more than all runs take. */
GM_EXPORT void gm_take_runs(const int32_t *offsets, const uint8_t *data, int64_t size, int64_t width,
                            const int64_t *rows, int64_t count, uint8_t *out) {
    for (int64_t i = 0; i < count; i++) {
        int64_t start = offsets[rows[i]] * width, bytes = offsets[rows[i] + 1] * width - start;
        if (LIKELY(bytes <= 16 && start + 16 <= size))
            memcpy(out, data + start, 16);
        else
            memcpy(out, data + start, (size_t)bytes);
        out += bytes;
    }
}
