/* What times have by the day, such as the offset of a zone's clocks or the first day of their month.

   Theory of operation. A time is a number of microseconds from 1970. Each day of UTC has an entry in a table:
   what holds before some moment, and what holds from it on. So a time needs one division and no search. Which
   of both holds is an index, not a branch: times in no order would mispredict it. */
#include "gristmill.h"

#define DAY INT64_C(86400000000)

typedef struct Offset {
    int64_t at, values[2]; /* before and after, in microseconds */
} Offset;

typedef struct Date {
    int64_t at;
    int32_t values[2]; /* before and after, in days from 1970 */
} Date;

static inline int64_t day_of(int64_t time) {
    return time / DAY - (time % DAY < 0);
}

/* out[i] is the offset of moments[i]; table[0] is for day *first*, and each moment's day has an entry. */
GM_EXPORT void gm_offsets(const int64_t *moments, int64_t count, const Offset *table, int64_t first,
                          int64_t *out) {
    for (int64_t i = 0; i < count; i++) {
        const Offset *entry = table + (day_of(moments[i]) - first);
        out[i] = entry->values[moments[i] >= entry->at];
    }
}

/* The same with dates. */
GM_EXPORT void gm_by_day(const int64_t *moments, int64_t count, const Date *table, int64_t first, int32_t *out) {
    for (int64_t i = 0; i < count; i++) {
        const Date *entry = table + (day_of(moments[i]) - first);
        out[i] = entry->values[moments[i] >= entry->at];
    }
}
