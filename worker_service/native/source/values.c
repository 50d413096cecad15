/* The values that growing states keep: sorted within each group.

   Theory of operation. A value is an int64 of the same order (see kernels/aggregates/order.py). Values come in
   runs of one group each: a run is a row of a frame, or the list of a group in a table of states. A counting
   sort brings the runs of a group together. Within the group a merge sort uses the runs that are ascending
   already, which those of states are. */
#include "gristmill.h"

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

/* Key 0x7FF8... is the one NaN, and zero has no sign; negative doubles have all other bits flipped. */
GM_EXPORT void gm_double_keys(const double *values, int64_t count, int64_t *out) {
    for (int64_t i = 0; i < count; i++) {
        double value = values[i] + 0.0;
        int64_t bits;
        memcpy(&bits, &value, 8);
        bits = value != value ? INT64_C(0x7FF8000000000000) : bits;
        out[i] = bits ^ ((bits >> 63) & INT64_MAX);
    }
}

/* The inverse. */
GM_EXPORT void gm_key_doubles(const int64_t *keys, int64_t count, int64_t *out) {
    for (int64_t i = 0; i < count; i++)
        out[i] = keys[i] ^ ((keys[i] >> 63) & INT64_MAX);
}

/* bounds[g] .. bounds[g + 1] is where group g lies, for *groups* groups: how many keys its runs have.
   Run r is of group codes[r], below *groups*, and has starts[r + 1] - starts[r] keys; one if starts is null. */
GM_EXPORT void gm_group_bounds(const int64_t *codes, const int64_t *starts, int64_t runs, int64_t groups,
                               int64_t *bounds) {
    memset(bounds, 0, (size_t)(groups + 1) * sizeof(*bounds));
    for (int64_t r = 0; r < runs; r++)
        bounds[codes[r] + 1] += starts ? starts[r + 1] - starts[r] : 1;
    for (int64_t g = 0; g < groups; g++)
        bounds[g + 1] += bounds[g];
}

/* The keys in the order of their groups, ascending in each. *bounds* is of gm_group_bounds; next has room for
   *groups* numbers, out and spare for all keys. */
GM_EXPORT void gm_sort_keys(const int64_t *codes, const int64_t *starts, int64_t runs, const int64_t *keys,
                            int64_t groups, const int64_t *bounds, int64_t *next, int64_t *out,
                            int64_t *spare) {
    memcpy(next, bounds, (size_t)groups * sizeof(*next));
    for (int64_t r = 0; r < runs; r++) {
        int64_t *at = next + codes[r];
        if (!starts) {
            out[(*at)++] = keys[r];
            continue;
        }
        for (int64_t i = starts[r]; i < starts[r + 1]; i++)
            out[(*at)++] = keys[i];
    }
    for (int64_t g = 0; g < groups; g++)
        sort_keys(out + bounds[g], bounds[g + 1] - bounds[g], spare, NULL);
}

/* The same for keys with counts, one (key, count) after the other. */
GM_EXPORT void gm_sort_counted(const int64_t *codes, const int64_t *starts, int64_t runs, const Counted *items,
                               int64_t groups, const int64_t *bounds, int64_t *next, Counted *out,
                               Counted *spare) {
    memcpy(next, bounds, (size_t)groups * sizeof(*next));
    for (int64_t r = 0; r < runs; r++) {
        int64_t *at = next + codes[r], first = starts ? starts[r] : r, end = starts ? starts[r + 1] : r + 1;
        for (int64_t i = first; i < end; i++)
            out[(*at)++] = items[i];
    }
    for (int64_t g = 0; g < groups; g++)
        sort_counted(out + bounds[g], bounds[g + 1] - bounds[g], spare, NULL);
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
