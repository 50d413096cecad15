/* A stable merge sort that uses the runs it finds; included once for each type of item.

   The includer defines ITEM, the type; LESS(context, a, b), the order; and SORT, the function's name. The
   lengths on the stack of runs at least halve from run to run, so it is never deeper than a length has bits. */
#ifndef LEAST_RUN
#define LEAST_RUN 16 /* shorter runs are made as long by insertion */
#endif

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define MERGE JOIN(SORT, _merge)

/* Merges the ascending neighbours [0, middle) and [middle, size) of *at*; *spare* has room for the first. */
static void MERGE(ITEM *at, int64_t middle, int64_t size, ITEM *spare, const void *context) {
    (void)context;
    if (!LESS(context, at[middle], at[middle - 1]))
        return;
    memcpy(spare, at, (size_t)middle * sizeof(ITEM));
    ITEM *out = at, *left = spare, *right = at + middle, *left_end = spare + middle, *right_end = at + size;
    while (left < left_end && right < right_end) {
        int second = LESS(context, *right, *left);
        *out++ = second ? *right : *left;
        right += second;
        left += !second;
    }
    memcpy(out, left, (size_t)(left_end - left) * sizeof(ITEM));
}

/* Sorts *size* items; *spare* has room for as many. */
static void SORT(ITEM *items, int64_t size, ITEM *spare, const void *context) {
    int64_t starts[72];
    int depth = 0;
    for (int64_t start = 0; start < size;) {
        int64_t end = start + 1;
        while (end < size && !LESS(context, items[end], items[end - 1]))
            end++;
        int64_t least = size - start < LEAST_RUN ? size : start + LEAST_RUN;
        for (; end < least; end++) {
            ITEM item = items[end];
            int64_t at = end;
            for (; at > start && LESS(context, item, items[at - 1]); at--)
                items[at] = items[at - 1];
            items[at] = item;
        }
        starts[depth++] = start;
        start = end;
        while (depth > 1 && starts[depth - 1] - starts[depth - 2] < 2 * (end - starts[depth - 1])) {
            int64_t first = starts[depth - 2];
            MERGE(items + first, starts[depth - 1] - first, end - first, spare, context);
            depth--;
        }
    }
    for (; depth > 1; depth--) {
        int64_t first = starts[depth - 2];
        MERGE(items + first, starts[depth - 1] - first, size - first, spare, context);
    }
}

#undef MERGE
#undef JOIN
#undef JOIN_
#undef SORT
#undef LESS
#undef ITEM
