/* The values that growing states keep: sorted within each group.

   Theory of operation. A value is an int64 of the same order (see kernels/aggregates/order.py). Values come in
   runs of one group each: a run is a row of a frame, or the list of a group in a table of states. A counting
   sort brings the runs of a group together. Within the group a merge sort uses the runs that are ascending
   already, which those of states are.

   Most columns have few values twice in a group. A bitmap of hashes tells that in less time than sorting takes. */
#include "doubles.h"

#define AHEAD 16 /* rows whose places are fetched before their turn */

typedef struct {
    int64_t key, count;
} Counted;

#define ITEM int64_t
#define LESS(context, a, b) ((a) < (b))
#define SORT sort_keys
#include "sort_runs.h"

#define ITEM Counted
#define LESS(context, a, b) ((a).key < (b).key)
#define SORT sort_counted
#include "sort_runs.h"

/* The keys of doubles, whose bits are *doubles*. */
GM_EXPORT void gm_double_keys(const int64_t *doubles, int64_t count, int64_t *out) {
    for (int64_t i = 0; i < count; i++)
        out[i] = key_of_double(doubles[i]);
}

/* The inverse, in place. */
GM_EXPORT void gm_key_doubles(int64_t *keys, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        keys[i] = double_of_key(keys[i]);
}

/* sizes[codes[r]] += the keys of run r. It has starts[r + 1] - starts[r] of them; one if starts is null. */
GM_EXPORT void gm_add_sizes(const int64_t *codes, const int64_t *starts, int64_t runs, int64_t *sizes) {
    for (int64_t r = 0; r < runs; r++)
        sizes[codes[r]] += starts ? starts[r + 1] - starts[r] : 1;
}

/* Puts the items of each run at out[next[its group]], and moves that behind them. An item has *words* words, 1 or 2.
   If *doubles*, items are the bits of doubles, one word each in runs with *starts*; their keys are put there. */
GM_EXPORT void gm_gather(const int64_t *codes, const int64_t *starts, int64_t runs, const int64_t *items,
                         int64_t words, int64_t doubles, int64_t *next, int64_t *out) {
    if (!starts && words == 1) {
        for (int64_t r = 0; r < runs; r++) {
            if (r + 2 * AHEAD < runs) {
                __builtin_prefetch(next + codes[r + 2 * AHEAD], 1);
                __builtin_prefetch(out + next[codes[r + AHEAD]], 1);
            }
            out[next[codes[r]]++] = items[r];
        }
        return;
    }
    for (int64_t r = 0; r < runs; r++) {
        int64_t first = starts ? starts[r] : r, size = starts ? starts[r + 1] - first : 1;
        if (doubles)
            gm_double_keys(items + first, size, out + next[codes[r]]);
        else
            memcpy(out + next[codes[r]] * words, items + first * words, (size_t)(size * words) * sizeof(*out));
        next[codes[r]] += size;
    }
}

/* Sorts the keys of each group, those from bounds[g] to bounds[g + 1]. *spare* has room for the largest group. */
GM_EXPORT void gm_sort_keys(int64_t *keys, const int64_t *bounds, int64_t groups, int64_t *spare) {
    for (int64_t g = 0; g < groups; g++)
        sort_keys(keys + bounds[g], bounds[g + 1] - bounds[g], spare, NULL);
}

/* The same for keys with counts, one (key, count) after the other. */
GM_EXPORT void gm_sort_counted(Counted *items, const int64_t *bounds, int64_t groups, Counted *spare) {
    for (int64_t g = 0; g < groups; g++)
        sort_counted(items + bounds[g], bounds[g + 1] - bounds[g], spare, NULL);
}

/* At most as many as there are different keys in each group, summed: how many bits their hashes set in a bitmap of
   4 to 8 bits for each key. It ends once there are *enough*. *bits* has room for one word, and for the 8 bits. */
GM_EXPORT int64_t gm_distinct_least(const int64_t *keys, const int64_t *bounds, int64_t groups, int64_t enough,
                                    uint64_t *bits) {
    int64_t found = 0;
    for (int64_t g = 0; g < groups && found < enough; g++) {
        int64_t size = bounds[g + 1] - bounds[g], log = 6;
        const int64_t *key = keys + bounds[g];
        if (size < 3) {
            found += size - (size == 2 && key[0] == key[1]);
            continue;
        }
        while (INT64_C(1) << log < 4 * size)
            log++;
        memset(bits, 0, (size_t)1 << (log - 3));
        for (int64_t i = 0; i < size; i++) {
            uint64_t hash = (uint64_t)key[i] * GM_STEP, at = (hash ^ hash >> 32) * GM_STEP >> (64 - log);
            found += ~bits[at >> 6] >> (at & 63) & 1;
            bits[at >> 6] |= UINT64_C(1) << (at & 63);
        }
    }
    return found;
}

/* How many different keys there are in each group, summed; the keys ascend in each group. */
GM_EXPORT int64_t gm_distinct(const int64_t *keys, const int64_t *bounds, int64_t groups) {
    int64_t found = 0;
    for (int64_t g = 0; g < groups; g++) {
        found += bounds[g] < bounds[g + 1];
        for (int64_t i = bounds[g] + 1; i < bounds[g + 1]; i++)
            found += keys[i] != keys[i - 1];
    }
    return found;
}

/* Keeps the first *most* keys of each group, in place; new_bounds may be bounds. Returns how many are kept. */
GM_EXPORT int64_t gm_cut(int64_t *keys, const int64_t *bounds, int64_t groups, int64_t most,
                         int64_t *new_bounds) {
    int64_t end = 0;
    for (int64_t g = 0; g < groups; g++) {
        int64_t first = bounds[g], size = bounds[g + 1] - first;
        size = size < most ? size : most;
        memmove(keys + end, keys + first, (size_t)size * sizeof(*keys));
        new_bounds[g] = end;
        end += size;
    }
    new_bounds[groups] = end;
    return end;
}
