/* Dates and times from texts in ISO 8601, as worker_service/readers/literals/strict.py has their grammar.

   Theory of operation. The length of a text and the marks at their places tell its form; digits are checked one
   by one. Days are counted by Hinnant's algorithm ("chrono-compatible low-level date algorithms", 2013). */
#include "fields.h"

#define DAY INT64_C(86400000000)
enum { FIRST_DAY = -719162, LAST_DAY = 2932896 }; /* 0001-01-01 and 9999-12-31 */

/* Two digits, or negative. */
static inline int32_t two(const uint8_t *at) {
    const uint32_t tens = (uint32_t)at[0] - '0', ones = (uint32_t)at[1] - '0';
    return tens > 9 || ones > 9 ? -1 : (int32_t)(tens * 10 + ones);
}

/* Days since 1970 of the ten octets of a date. */
static inline int date(const uint8_t *at, int32_t *out) {
    static const uint8_t lengths[13] = {0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const int32_t century = two(at), rest = two(at + 2), month = two(at + 5), day = two(at + 8);
    if (century < 0 || rest < 0 || at[4] != '-' || at[7] != '-' || month < 1 || month > 12 || day < 1)
        return 0;
    int32_t year = century * 100 + rest;
    const int leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (year < 1 || day > lengths[month] + (leap && month == 2))
        return 0;
    year -= month <= 2;
    const int32_t era = (year >= 0 ? year : year - 399) / 400, of_era = year - era * 400;
    const int32_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    *out = era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
    return 1;
}

/* A time of day behind the date, up to *end*; the octets that it takes, or 0. In microseconds.
   As results write it where *canonical*: with `T` and seconds, and no zero ends the fraction. */
static inline int64_t time_of_day(const uint8_t *at, const uint8_t *end, int canonical, int64_t *out) {
    const uint8_t *const first = at;
    if (end - at < 6 || (*at != 'T' && (canonical || *at != ' ')) || at[3] != ':')
        return 0;
    const int32_t hour = two(at + 1), minute = two(at + 4);
    int32_t second = 0;
    int64_t fraction = 0;
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59)
        return 0;
    at += 6;
    if (end - at >= 3 && *at == ':') {
        second = two(at + 1);
        if (second < 0 || second > 59)
            return 0;
        at += 3;
        if (at < end && *at == '.') {
            int32_t places = 0;
            for (at++; at < end && (uint8_t)(*at - '0') < 10; at++, places++)
                fraction = places < 6 ? fraction * 10 + (*at - '0') : 0;
            if (places < 1 || places > 6 || (canonical && at[-1] == '0'))
                return 0;
            for (; places < 6; places++)
                fraction *= 10;
        }
    } else if (canonical) {
        return 0;
    }
    *out = ((hour * 60 + minute) * 60 + second) * INT64_C(1000000) + fraction;
    return at - first;
}

/* The offset from UTC at *at*, all up to *end*, in microseconds. */
static inline int offset(const uint8_t *at, const uint8_t *end, int canonical, int64_t *out) {
    const int64_t size = end - at;
    *out = 0;
    if (!canonical && size == 1 && *at == 'Z')
        return 1;
    if ((size != 3 && size != 5 && size != 6) || (*at != '+' && *at != '-') || (size == 6 && at[3] != ':'))
        return 0;
    const int32_t hours = two(at + 1), minutes = size == 3 ? 0 : two(end - 2);
    if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59)
        return 0;
    if (canonical && (size != 6 || *at != '+' || hours || minutes))
        return 0;
    *out = (*at == '-' ? -1 : 1) * (hours * 60 + minutes) * INT64_C(60000000);
    return 1;
}

static inline int within(int64_t moment) {
    return moment >= FIRST_DAY * DAY && moment < (LAST_DAY + 1) * DAY;
}

/* out[i] is the number of days since 1970 of row i; returns the number of rows that are null or refused. */
GM_EXPORT int64_t gm_date(const gm_fields *f, int32_t *out) {
    int64_t missing = 0;
    for (int64_t row = 0; row < f->rows; row++) {
        const gm_text text = field_text(f, row);
        const int null = is_null(f, text);
        out[row] = 0;
        const int fine = !null && text.size == 10 && date(text.at, out + row);
        f->null[row] = !fine;
        f->refused[row] |= !fine && !null;
        missing += !fine;
    }
    return missing;
}

/* Microseconds since 1970; *zoned*: an offset follows, which may be left out where S_UTC is set. */
static inline int moment(const gm_fields *f, gm_text text, int zoned, int64_t *out) {
    int32_t day;
    int64_t time = 0, apart = 0;
    const int canonical = f->strict & S_KEY;
    const uint8_t *const end = text.at + text.size;
    if (text.size < 10 || !date(text.at, &day))
        return 0;
    if (text.size == 10) {
        if (canonical || (zoned && !(f->strict & S_UTC)))
            return 0;
    } else {
        const int64_t size = time_of_day(text.at + 10, end, canonical, &time);
        if (!size)
            return 0;
        const uint8_t *const behind = text.at + 10 + size;
        if (behind == end ? zoned && !(f->strict & S_UTC) : !zoned || !offset(behind, end, canonical, &apart))
            return 0;
    }
    *out = day * DAY + time - apart;
    return within(*out);
}

/* out[i] is the moment of row i in microseconds since 1970; as gm_date. */
GM_EXPORT int64_t gm_timestamp(const gm_fields *f, int32_t zoned, int64_t *out) {
    int64_t missing = 0;
    for (int64_t row = 0; row < f->rows; row++) {
        const gm_text text = field_text(f, row);
        const int null = is_null(f, text);
        out[row] = 0;
        const int fine = !null && moment(f, text, zoned, out + row);
        f->null[row] = !fine;
        f->refused[row] |= !fine && !null;
        missing += !fine;
    }
    return missing;
}
