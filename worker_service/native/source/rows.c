/* Rows of result columns: in order, as the canonical bytes of the digest, and as Postgres' binary COPY.

   Theory of operation. Bytes are made a row at a time, column after column, into a buffer with room for the
   most that these rows may take, so that no write is checked. Rows are ordered by merge sort of (ranks of the
   first two keys, row); where these tie, the keys themselves are compared. Strings rank by 8 bytes after those
   that all of them begin with. The second rank only counts where equal first ranks mean equal first keys. */
#include "columns.h"

static inline uint8_t *put(uint8_t *out, const void *from, size_t size) {
    memcpy(out, from, size);
    return out + size;
}

static inline uint8_t *put_big16(uint8_t *out, uint16_t number) {
    number = __builtin_bswap16(number);
    return put(out, &number, 2);
}

static inline uint8_t *put_big32(uint8_t *out, uint32_t number) {
    number = __builtin_bswap32(number);
    return put(out, &number, 4);
}

static inline uint8_t *put_big64(uint8_t *out, uint64_t number) {
    number = __builtin_bswap64(number);
    return put(out, &number, 8);
}

/* At least as many bytes as the rows from first to end take in either form, without a row's head. */
static int64_t room(const Column *column, int64_t first, int64_t end) {
    int64_t rows = end - first;
    if (column->kind == GM_STRING)
        return 5 * rows + column->offsets[end] - column->offsets[first];
    if (column->kind == GM_LIST)
        return 24 * rows + room(column->items, column->offsets[first], column->offsets[end]);
    return 40 * rows;
}

/* At least as many bytes as gm_canonical_rows and gm_copy_rows write. */
GM_EXPORT int64_t gm_room(const Column *columns, int64_t count, int64_t first, int64_t end) {
    int64_t total = 2 * (end - first);
    for (int64_t i = 0; i < count; i++)
        total += room(columns + i, first, end);
    return total;
}

/* See docs/exactness.md. */
static uint8_t *put_canonical(const Column *column, int64_t row, uint8_t *out) {
    if (is_null(column, row)) {
        *out = 0;
        return out + 1;
    }
    *out++ = 1;
    switch (column->kind) {
    case GM_BOOL:
        *out = (uint8_t)bit(column->data, column->data_at + row);
        return out + 1;
    case GM_INT64: {
        __int128 number = int64_of(column, row);
        return put(out, &number, 16);
    }
    case GM_DECIMAL:
        return put(out, column->data + 16 * row, 16);
    case GM_DOUBLE: {
        int64_t bits = double_bits(column, row);
        bits = bits == INT64_MIN ? 0 : bits; /* zero has no sign */
        return put(out, &bits, 8);
    }
    case GM_DATE:
        return put(out, column->data + 4 * row, 4);
    case GM_TIME:
        return put(out, column->data + 8 * row, 8);
    default: {
        int32_t first = column->offsets[row], end = column->offsets[row + 1], size = end - first;
        out = put(out, &size, 4);
        if (column->kind == GM_STRING)
            return put(out, column->data + first, (size_t)size);
        for (int32_t i = first; i < end; i++)
            out = put_canonical(column->items, i, out);
        return out;
    }
    }
}

/* The canonical bytes of the rows from first to end, one row after the other. Returns how many bytes. */
GM_EXPORT int64_t gm_canonical_rows(const Column *columns, int64_t count, int64_t first, int64_t end,
                                    uint8_t *out) {
    uint8_t *start = out;
    for (int64_t row = first; row < end; row++)
        for (int64_t i = 0; i < count; i++)
            out = put_canonical(columns + i, row, out);
    return out - start;
}

/* Postgres' numeric: digits in base 10,000 without zeros at either end, aligned to the decimal point. */
static uint8_t *put_numeric(uint8_t *out, __int128 number, int64_t scale) {
    static const uint32_t powers[] = {1, 10, 100, 1000};
    unsigned __int128 left = number < 0 ? -(unsigned __int128)number : (unsigned __int128)number;
    uint16_t digits[12];
    int found = 0, first = 0, split = (int)(scale & 3);
    if (split) {
        digits[found++] = (uint16_t)((uint32_t)(left % powers[split]) * powers[4 - split]);
        left /= powers[split];
    }
    for (; left >> 64; left /= 10000)
        digits[found++] = (uint16_t)(left % 10000);
    for (uint64_t low = (uint64_t)left; low; low /= 10000)
        digits[found++] = (uint16_t)(low % 10000);
    int weight = found - (int)((scale + 3) / 4) - 1;
    while (found > first && !digits[found - 1])
        found--, weight--;
    while (first < found && !digits[first])
        first++;
    out = put_big32(out, (uint32_t)(8 + 2 * (found - first)));
    out = put_big16(out, (uint16_t)(found - first));
    out = put_big16(out, (uint16_t)(found > first ? weight : 0));
    out = put_big16(out, number < 0 ? 0x4000 : 0);
    out = put_big16(out, (uint16_t)scale);
    while (found > first)
        out = put_big16(out, digits[--found]);
    return out;
}

/* Microseconds and days since 1970 as those since 2000. The least two numbers of Postgres' stand for
   infinities, and what is far below its range becomes the least number that it refuses. */
static inline int64_t time_since_2000(int64_t time) {
    const int64_t shift = INT64_C(946684800000000);
    return time <= INT64_MIN + shift ? INT64_MIN + 1 : time - shift;
}

static inline int32_t days_since_2000(int32_t days) {
    return days <= INT32_MIN + 10957 ? INT32_MIN + 1 : days - 10957;
}

/* Length and bytes of a field. */
static uint8_t *put_field(const Column *column, int64_t row, uint8_t *out) {
    if (is_null(column, row))
        return put_big32(out, UINT32_MAX);
    switch (column->kind) {
    case GM_BOOL:
        out = put_big32(out, 1);
        *out = (uint8_t)bit(column->data, column->data_at + row);
        return out + 1;
    case GM_INT64:
        return put_big64(put_big32(out, 8), (uint64_t)int64_of(column, row));
    case GM_DOUBLE:
        return put_big64(put_big32(out, 8), (uint64_t)double_bits(column, row));
    case GM_DECIMAL:
        return put_numeric(out, decimal_of(column, row), column->scale);
    case GM_DATE:
        return put_big32(put_big32(out, 4), (uint32_t)days_since_2000(date_of(column, row)));
    case GM_TIME:
        return put_big64(put_big32(out, 8), (uint64_t)time_since_2000(int64_of(column, row)));
    case GM_STRING: {
        int32_t first = column->offsets[row], size = column->offsets[row + 1] - first;
        return put(put_big32(out, (uint32_t)size), column->data + first, (size_t)size);
    }
    default: {
        int32_t first = column->offsets[row], end = column->offsets[row + 1];
        uint8_t *start = out, nulls = 0;
        out = put_big32(out + 4, end > first); /* dimensions */
        out = put_big32(out + 4, (uint32_t)column->items->oid);
        if (end > first)
            out = put_big32(put_big32(out, (uint32_t)(end - first)), 1);
        for (int32_t i = first; i < end; i++) {
            nulls |= (uint8_t)is_null(column->items, i);
            out = put_field(column->items, i, out);
        }
        put_big32(start, (uint32_t)(out - start - 4));
        put_big32(start + 8, nulls);
        return out;
    }
    }
}

/* The rows from first to end as the tuples of Postgres' binary COPY. Returns how many bytes. */
GM_EXPORT int64_t gm_copy_rows(const Column *columns, int64_t count, int64_t first, int64_t end, uint8_t *out) {
    uint8_t *start = out;
    for (int64_t row = first; row < end; row++) {
        out = put_big16(out, (uint16_t)count);
        for (int64_t i = 0; i < count; i++)
            out = put_field(columns + i, row, out);
    }
    return out - start;
}

/* A key, and how its values rank. */
typedef struct {
    const Column *column;
    int32_t common; /* bytes with which every string begins */
    int exact;      /* values of equal rank are equal */
} Key;

static inline int32_t length(const Column *column, int64_t row) {
    return column->offsets[row + 1] - column->offsets[row];
}

/* The key for ranking *count* rows, which are *rows*. */
static Key key_of(const Column *column, const int64_t *rows, int64_t count) {
    Key key = {column, 0, column->kind == GM_BOOL || column->kind == GM_DOUBLE || column->kind == GM_DATE};
    if (column->kind != GM_STRING) {
        key.exact |= !column->valid && column->kind != GM_DECIMAL; /* INT64_MAX ties with null */
        return key;
    }
    const uint8_t *text = NULL;
    int32_t size = 0;
    int same = 1;
    for (int64_t i = 0; i < count; i++) {
        if (is_null(column, rows[i]))
            continue;
        const uint8_t *other = column->data + column->offsets[rows[i]];
        int32_t common = 0, most = length(column, rows[i]);
        if (!text) {
            text = other;
            size = key.common = most;
            continue;
        }
        same &= most == size;
        most = most < key.common ? most : key.common;
        if (most && memcmp(text, other, (size_t)most) != 0)
            while (text[common] == other[common])
                common++;
        else
            common = most;
        key.common = common;
    }
    key.exact = same && size - key.common <= 8;
    return key;
}

/* An integer whose order is that of the values as far as it goes; nulls rank last. */
static int64_t rank(const Key *key, int64_t row) {
    const Column *column = key->column;
    if (is_null(column, row))
        return INT64_MAX;
    switch (column->kind) {
    case GM_BOOL:
        return bit(column->data, column->data_at + row);
    case GM_DOUBLE: {
        int64_t bits = double_bits(column, row);
        bits = bits == INT64_MIN ? 0 : bits;
        return bits ^ ((bits >> 63) & INT64_MAX);
    }
    case GM_DECIMAL: {
        __int128 number = decimal_of(column, row);
        return number > INT64_MAX ? INT64_MAX : number < INT64_MIN ? INT64_MIN : (int64_t)number;
    }
    case GM_DATE:
        return date_of(column, row);
    case GM_STRING: {
        int32_t size = length(column, row) - key->common;
        uint64_t word = 0;
        memcpy(&word, column->data + column->offsets[row] + key->common, (size_t)(size < 8 ? size : 8));
        return (int64_t)(__builtin_bswap64(word) ^ (UINT64_C(1) << 63));
    }
    default:
        return int64_of(column, row);
    }
}

static int compare(const Key *key, int64_t a, int64_t b) {
    const Column *column = key->column;
    int one = is_null(column, a), other = is_null(column, b);
    if (one || other)
        return one - other;
    int64_t left = rank(key, a), right = rank(key, b);
    if (left != right)
        return left < right ? -1 : 1;
    if (column->kind == GM_DECIMAL) {
        __int128 low = decimal_of(column, a), high = decimal_of(column, b);
        return (low > high) - (low < high);
    }
    if (column->kind != GM_STRING)
        return 0;
    int32_t size = length(column, a), other_size = length(column, b);
    int found = memcmp(column->data + column->offsets[a], column->data + column->offsets[b],
                       (size_t)(size < other_size ? size : other_size));
    return found ? found : (size > other_size) - (size < other_size);
}

typedef struct {
    int64_t rank, second, row;
} Ranked;

typedef struct {
    Key *keys;
    int64_t count;
} Keys;

static int precedes(const Keys *keys, const Ranked *a, const Ranked *b) {
    if (a->rank != b->rank)
        return a->rank < b->rank;
    if (a->second != b->second)
        return a->second < b->second;
    for (int64_t i = 0; i < keys->count; i++) {
        int found = compare(keys->keys + i, a->row, b->row);
        if (found)
            return found < 0;
    }
    return 0;
}

#define ITEM Ranked
#define LESS(context, a, b) precedes(context, &(a), &(b))
#define SORT sort_ranked
#include "sort_runs.h"

/* Sorts the rows order[bounds[i]] .. order[bounds[i + 1]) by *count* keys, from 1 to MAX_KEYS, for each i below
   *parts*. items and spare have room for the rows of the largest part, 24 bytes each. */
enum { MAX_KEYS = 64 };
GM_EXPORT void gm_order_rows(const Column *columns, int64_t count, const int64_t *bounds, int64_t parts,
                             int64_t *order, Ranked *items, Ranked *spare) {
    Key keys[MAX_KEYS];
    Keys by = {keys, count};
    for (int64_t i = 0; i < count; i++)
        keys[i] = key_of(columns + i, order + bounds[0], bounds[parts] - bounds[0]);
    int both = count > 1 && keys[0].exact;
    for (int64_t part = 0; part < parts; part++) {
        int64_t *rows = order + bounds[part], size = bounds[part + 1] - bounds[part];
        for (int64_t i = 0; i < size; i++)
            items[i] = (Ranked){rank(keys, rows[i]), both ? rank(keys + 1, rows[i]) : 0, rows[i]};
        sort_ranked(items, size, spare, &by);
        for (int64_t i = 0; i < size; i++)
            rows[i] = items[i].row;
    }
}
