/* Local times, and the days of a calendar.

   Theory of operation. A time is a number of microseconds from 1970. Of each day of UTC a table has the offset
   of the zone's clocks: that before a moment and that from it on, since no zone changes its clocks twice in a
   day. Of each local day another table has what is asked for, such as the first day of its month. */
#include "gristmill.h"

#define DAY INT64_C(86400000000)

/* The offsets of a day: *before* the moment *at*, and *after*, from it on; in microseconds. */
typedef struct Clock {
    int64_t at, before, after;
} Clock;

static inline int64_t day_of(int64_t time) {
    return time / DAY - (time % DAY < 0);
}

static inline int64_t offset_at(int64_t moment, const Clock *clock) {
    return moment < clock->at ? clock->before : clock->after;
}

/* out[i] is the offset at a moment; clocks[0] is that of day *first*, and each moment's day has one. */
GM_EXPORT void gm_offsets(const int64_t *moments, int64_t count, const Clock *clocks, int64_t first,
                          int64_t *out) {
    for (int64_t i = 0; i < count; i++)
        out[i] = offset_at(moments[i], clocks + (day_of(moments[i]) - first));
}

/* out[i] = table[local day of moment i - first]; each such day has an entry. Without *clocks* the times are
   local; else clocks[0] is that of day *first_clock*, and each moment's day has one. */
GM_EXPORT void gm_by_day(const int64_t *moments, int64_t count, const Clock *clocks, int64_t first_clock,
                         const int32_t *table, int64_t first, int32_t *out) {
    if (!clocks) {
        for (int64_t i = 0; i < count; i++)
            out[i] = table[day_of(moments[i]) - first];
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        const int64_t moment = moments[i];
        out[i] = table[day_of(moment + offset_at(moment, clocks + (day_of(moment) - first_clock))) - first];
    }
}
