/* The first few values of each group, changed in place: of top and bottom.

   Theory of operation. A group is 1 + *most* words: how many keys it has, then these, ascending. A key that is not
   below the last one of a full group is passed over, which soon holds for most. Others are inserted. */
#include "gristmill.h"

#define AHEAD 16 /* rows whose groups are fetched before their turn */

static inline void take_first(const int64_t *codes, const int64_t *keys, int64_t count, int64_t flip,
                              int64_t *kept, int64_t most) {
    for (int64_t i = 0; i < count; i++) {
        if (i + AHEAD < count)
            __builtin_prefetch(kept + codes[i + AHEAD] * (most + 1), 1);
        int64_t *group = kept + codes[i] * (most + 1), key = keys[i] ^ flip, at = most;
        if (group[0] < most)
            at = ++group[0];
        else if (key >= group[most])
            continue;
        for (; at > 1 && group[at - 1] > key; at--)
            group[at] = group[at - 1];
        group[at] = key;
    }
}

/* Adds keys[i] ^ flip to group codes[i] of *kept*, for all rows. */
GM_EXPORT void gm_take_first(const int64_t *codes, const int64_t *keys, int64_t count, int64_t flip, int64_t *kept,
                             int64_t most) {
    if (most == 1)
        take_first(codes, keys, count, flip, kept, 1);
    else if (most == 2)
        take_first(codes, keys, count, flip, kept, 2);
    else if (most == 3)
        take_first(codes, keys, count, flip, kept, 3);
    else
        take_first(codes, keys, count, flip, kept, most);
}
