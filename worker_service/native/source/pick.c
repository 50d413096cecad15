/* The rows of a column that a mask keeps.

   Theory of operation. Each value is written behind those that were kept so far, and the next one replaces it
   unless the mask keeps it. So there is no branch, whose outcome a processor could not foretell. */
#include "gristmill.h"

#define PICK(width)                                                                                            \
    for (int64_t i = 0; i < count; i++) {                                                                      \
        memcpy(out + kept * width, values + i * width, width);                                                 \
        kept += mask[i];                                                                                       \
    }

/* The values whose *mask* is 1 (else 0), in their order. *width* is 1, 2, 4, 8 or 16 bytes. *out* has
   room for one value more than are kept. Returns how many are. */
GM_EXPORT int64_t gm_pick(const uint8_t *values, const uint8_t *mask, int64_t count, int64_t width,
                          uint8_t *out) {
    int64_t kept = 0;
    switch (width) {
    case 1:
        PICK(1)
        break;
    case 2:
        PICK(2)
        break;
    case 4:
        PICK(4)
        break;
    case 8:
        PICK(8)
        break;
    case 16:
        PICK(16)
        break;
    default:
        break;
    }
    return kept;
}
