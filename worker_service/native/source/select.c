/* The values at some places of each group's order, without sorting it.

   Theory of operation. Quickselect (Hoare, 1961): keys below a pivot go to the front. The place lies among these or
   behind them, and only that part is looked at again. Keys that equal the pivot go in front of the others behind
   it, so that repeats cost no more. A key is swapped whatever it is, so no branch depends on it. After too many
   poor pivots the part is sorted. */
#include "doubles.h"

#define ITEM int64_t
#define LESS(context, a, b) ((a) < (b))
#define SORT sort_part
#include "sort_runs.h"

#define FEW 24 /* keys, which are sorted */
#define MANY 512 /* keys, of which nine give the pivot */

static inline int64_t middle_of(int64_t a, int64_t b, int64_t c) {
    int64_t low = a < b ? a : b, high = a < b ? b : a;
    return c < low ? low : c > high ? high : c;
}

static int64_t pivot_of(const int64_t *keys, int64_t size) {
    int64_t step = size / 9, found[3];
    if (size < MANY)
        return middle_of(keys[0], keys[size / 2], keys[size - 1]);
    for (int64_t i = 0; i < 3; i++)
        found[i] = middle_of(keys[3 * i * step], keys[(3 * i + 1) * step], keys[(3 * i + 2) * step]);
    return middle_of(found[0], found[1], found[2]);
}

/* Moves the keys below *pivot* to the front, or with *equal* those at most *pivot*; returns how many there are. */
static inline int64_t part(int64_t *keys, int64_t size, int64_t pivot, int equal) {
    int64_t front = 0;
    for (int64_t i = 0; i < size; i++) {
        int64_t key = keys[i];
        keys[i] = keys[front];
        keys[front] = key;
        front += equal ? key <= pivot : key < pivot;
    }
    return front;
}

/* Moves the key of place *at* in ascending order there, smaller ones before it, larger ones behind it. */
static void select_one(int64_t *keys, int64_t size, int64_t at, int64_t *spare) {
    int64_t patience = 8;
    for (int64_t rest = size; rest > FEW; rest >>= 1)
        patience += 4;
    while (size > FEW && patience-- > 0) {
        int64_t pivot = pivot_of(keys, size), below = part(keys, size, pivot, 0);
        if (at < below) {
            size = below;
            continue;
        }
        int64_t upto = below + part(keys + below, size - below, pivot, 1);
        if (at < upto)
            return;
        keys += upto;
        at -= upto;
        size -= upto;
    }
    sort_part(keys, size, spare, NULL);
}

/* Of each group, whose values lie from bounds[g] to bounds[g + 1] in any order: low[g] becomes the value at place
   at[g] of its order, from 0, and high[g] the next one if next[g], else the same. Values are integers, or if
   *doubles* the bits of doubles. A group without values gets 0. Values change their places within the group.
   *spare* has room for the largest group. */
GM_EXPORT void gm_select(int64_t *values, int64_t doubles, const int64_t *bounds, int64_t groups,
                         const int64_t *at, const uint8_t *next, int64_t *spare, int64_t *low, int64_t *high) {
    for (int64_t g = 0; g < groups; g++) {
        int64_t *group = values + bounds[g], size = bounds[g + 1] - bounds[g];
        low[g] = high[g] = 0;
        if (!size)
            continue;
        for (int64_t i = 0; doubles && i < size; i++)
            group[i] = key_of_double(group[i]);
        select_one(group, size, at[g], spare);
        low[g] = high[g] = group[at[g]];
        if (next[g] && at[g] + 1 < size) {
            int64_t least = group[at[g] + 1];
            for (int64_t i = at[g] + 2; i < size; i++)
                least = group[i] < least ? group[i] : least;
            high[g] = least;
        }
        if (!doubles)
            continue;
        for (int64_t i = 0; i < size; i++)
            group[i] = double_of_key(group[i]);
        low[g] = double_of_key(low[g]);
        high[g] = double_of_key(high[g]);
    }
}
